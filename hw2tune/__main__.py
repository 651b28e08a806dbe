"""`python -m hw2tune`."""

from hw2tune.cli import main

main()
