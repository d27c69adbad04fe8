"""`python -m hcrun` is `hcrun`."""

from __future__ import annotations

from hcrun.cli import main

main()
