"""Providers that people sign in through: the protocol with them, and nothing of accounts or roles.

`base` is the seam, and light; what speaks OpenID Connect is loaded only where it is configured.
"""
