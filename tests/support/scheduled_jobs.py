"""The four jobs of docs/jobs.md: programs that do their work, and that fail without saying so."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
DIRECTORY = "/usr/local/bin/"

WORKS = {
    "refresh_expiring_tokens": "echo refreshed 7 tokens",
    "health_check": """echo '{"services": 9, "status": "healthy"}'""",
    "cleanup_expired_tokens": "echo deleted 42 rows",
    "rotate_encryption_keys": "echo 'app-key: version 7 -> 8'",
}
FAILS = {
    "refresh_expiring_tokens": ["echo no answer >&2; exit 3"],
    "health_check": ["""echo '{"services": 9, "status": "unhealthy"}'""", "true"],
    "cleanup_expired_tokens": ["echo deleted 0 rows", "true"],
    "rotate_encryption_keys": ["echo 'app-key: version 8 -> 8'", "echo 'version 7 ->'", "true"],
}


# By the language of the block.
BLOCKS: dict[str, str] = dict(re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def programs() -> dict[str, str]:
    """By the path without its first slash."""
    return {f"{DIRECTORY[1:]}{name}": f"#!/bin/sh\n{text}\n" for name, text in WORKS.items()}
