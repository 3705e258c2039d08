"""`python -m paribus` is the `paribus` command."""

from paribus.cli.main import main

main()
