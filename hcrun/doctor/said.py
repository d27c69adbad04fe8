"""What hcrun has said lately where nobody looks: in the log of the system."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress

from hcrun.doctor.finding import Finding, finding
from hcrun.text import shortened

_FILES = ("var/log/syslog", "var/log/messages", "var/log/cron", "var/log/cron.log")
_TAIL = 1_000_000  # bytes of a file
# Of cron's jobs; those of units are with the output of their commands.
_JOURNAL = "journalctl --quiet --no-pager --output=short-iso --since=-7d -t hcrun _TRANSPORT=syslog"


def evaluate(root: str) -> Iterator[Finding]:
    """The last warnings of hcrun under cron."""
    text = ""
    for name in _FILES:
        with suppress(OSError), open(os.path.join(root, name), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            text += file.read(_TAIL).decode("utf-8", "replace")
    if os.path.realpath(root) == "/" and " hcrun[" not in text:
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(_JOURNAL.split(), capture_output=True, timeout=10, check=False)
            text = done.stdout.decode("utf-8", "replace")
    for line in re.findall(r"^.* hcrun\[\d+\]: .*", text, re.MULTILINE)[-3:]:
        yield finding("said", line=shortened(line, 300))
