"""The loops that make runs happen: schedule, dispatch, watch, prune. Each is a `tick(now)`."""
