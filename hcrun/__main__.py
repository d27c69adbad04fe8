"""Runs `hcrun` as `python -m hcrun`."""

from __future__ import annotations

from hcrun.run.cli import main

main()
