"""Real servers that tests talk to, and the parts of the system that they need."""
