"""Catalogues for tests: written as checks.toml, or as Check objects."""

from pathlib import Path
from typing import Any

from hcrun.catalog import MARKER, Check
from hcrun.catalog.schedule import Every

CHANNELS = """
[channels.email]
kind = "email"
[channels.slack]
kind = "slack"
"""


def write(tmp_path: Path, *checks: str, head: str = "", **more: str) -> str:
    """A file with these checks, each every five minutes; `more` are the words of others."""
    text = head + "".join(f'[checks.{slug}]\nevery = "5m"\n' for slug in checks)
    text += "".join(f"[checks.{slug}]\n{words}\n" for slug, words in more.items())
    path = tmp_path / "checks.toml"
    path.write_text(text)
    return str(path)


def a_check(slug: str = "job", **fields: Any) -> Check:
    """A check every five minutes, as the catalogue would give it."""
    given: dict[str, Any] = {
        "name": slug,
        "schedule": Every(300),
        "zone": "UTC",
        "grace": 600,
        "tags": (MARKER,),
    }
    return Check(slug=slug, **given | fields)
