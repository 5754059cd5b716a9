"""The places where items are called, behind one contract (`base`)."""
