"""What did happen, for people to read."""
