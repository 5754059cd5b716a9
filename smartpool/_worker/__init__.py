"""What runs inside a worker process: light to import, standard library only."""
