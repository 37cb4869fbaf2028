"""JSON over HTTP under /api: one table of routes, and a module of handlers per noun."""
