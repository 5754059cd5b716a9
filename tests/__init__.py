"""The tests; a package, so that a worker process can import what it is sent."""
