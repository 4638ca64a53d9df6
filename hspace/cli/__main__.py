"""`python -m hspace.cli`."""

from hspace.cli import main

main()
