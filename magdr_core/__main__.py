"""`python -m magdr_core`, where no `magdr` is on the path."""

from magdr_core.cli import main

main()
