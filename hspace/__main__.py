"""`python -m hspace`, and so `accelerate launch -m hspace`."""

from hspace.cli import main

main()
