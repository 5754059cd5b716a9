"""Single calls seen from their callers: futures, `submit`, `map` and `call`."""
