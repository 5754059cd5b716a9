"""Reading the world: this machine, this interpreter, and what first calls show."""
