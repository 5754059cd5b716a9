"""Carrying a plan out: which chunk next, on which lease, and when it is over."""
