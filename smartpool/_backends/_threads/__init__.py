"""Parts of the backend that calls items on threads."""
