"""What hcrun has said lately where nobody looks: in the log of the system."""

import json
import os
import re
import subprocess
from collections.abc import Iterator

from hcrun.doctor.finding import Finding, note
from hcrun.text import shortened
from hcrun.units import local

_FILES = ("var/log/syslog", "var/log/messages", "var/log/cron", "var/log/cron.log")
_LINE = re.compile(r" hcrun\[\d+\]: ")
_TAIL = 1_000_000  # bytes of a file
_LAST = 3
_LONGEST = 300  # characters of a line
_COMMAND = ("journalctl", "--quiet", "--no-pager", "--output=json", "--identifier=hcrun")
_RECENT = ("--since=-7d", "--lines=1000")


def evaluate(root: str) -> Iterator[Finding]:
    """The last warnings of hcrun under cron or systemd."""
    lines = _of_files(root)
    if os.path.realpath(root) == "/":
        lines += _of_journald()
    for line in lines[-_LAST:]:
        yield note(f"hcrun has said: {shortened(line, _LONGEST)}")


def _of_files(root: str) -> list[str]:
    for name in _FILES:
        try:
            with open(os.path.join(root, name), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                text = file.read(_TAIL).decode("utf-8", "replace")
        except OSError:
            continue
        if found := [line for line in text.splitlines() if _LINE.search(line)]:
            return found
    return []


def _of_journald() -> list[str]:
    """The journal also has what the commands of units print, without `hcrun: `."""
    try:
        done = subprocess.run([*_COMMAND, *_RECENT], capture_output=True, timeout=10, check=False)
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        return [
            f"{local(int(entry['__REALTIME_TIMESTAMP']) / 1e6)} {entry['MESSAGE']}"
            for entry in entries
            if entry["_TRANSPORT"] == "syslog" or str(entry["MESSAGE"]).startswith("hcrun: ")
        ]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        return []
