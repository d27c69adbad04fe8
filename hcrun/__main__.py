"""Runs `hcrun` as `python -m hcrun`."""

from hcrun.run.cli import main

main()
