"""Places where attempts run; `base` is the seam, every other module one place."""
