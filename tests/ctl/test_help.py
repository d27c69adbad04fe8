"""The help of every hcctl command."""

import pytest

from scripts.docs.hcctl_pages import commands

HELP = {path: text for path, _, text in commands()}


@pytest.mark.parametrize("path", HELP)
def test_help_fits_80_columns(path: str) -> None:
    assert [line for line in HELP[path].splitlines() if len(line) > 80] == []
