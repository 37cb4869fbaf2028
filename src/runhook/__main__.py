"""`python -m runhook` is the command `runhook`."""

from runhook.cli.main import main

main()
