"""`python -m simulator` is `keyturn`."""

from simulator.cli import main

main()
