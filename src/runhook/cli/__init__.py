"""The command line, and the Python client it is made of. Talks to a server over HTTP only."""
