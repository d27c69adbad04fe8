"""Runs `hcrun` as `python -m hcrun`."""

import gc

gc.disable()  # as hcrun/bin/hcrun does

from hcrun.run.cli import main  # noqa: E402

main()
