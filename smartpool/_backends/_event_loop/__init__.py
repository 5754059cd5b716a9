"""What the event loop backend is made of."""
