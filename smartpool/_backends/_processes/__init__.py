"""The parts of the process backend: starting, talking, pickling, ending."""
