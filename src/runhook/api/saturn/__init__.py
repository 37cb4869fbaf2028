"""What the compatible contract has beside our own API, over the same services."""
