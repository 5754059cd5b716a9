"""The caller's side of a run: observe, decide, carry out, deliver."""
