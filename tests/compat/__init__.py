"""Published clients of others, as they are, against a real server."""
