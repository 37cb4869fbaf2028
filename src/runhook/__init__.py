"""Runhook: a self-hosted job server for notebooks and scripts in git."""

__version__ = "0.1.0"
