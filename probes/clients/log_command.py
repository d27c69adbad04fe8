"""Read systemd's journal or docker's logs since a mark: see `Log` in log_file.py."""

import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from probes.clients.log_file import CHUNK, LONGEST, Left, Take
from probes.framework import memory
from probes.framework.probe import UnknownError


class Journal:
    """The journal of a unit; the mark is a cursor of the journal."""

    has_gap = False
    unread = ""
    output = "cat"  # of journalctl: only the messages

    def __init__(self, unit: str) -> None:
        self.mark: Any = None
        self._unit = unit

    def read(self, take: Take, left: Left) -> None:
        command = ["journalctl", f"--unit={self._unit}", f"--output={self.output}"]
        command += ["--all", "--no-pager"]
        is_first = self.mark is None
        command += ["--show-cursor", "--lines=1" if is_first else f"--after-cursor={self.mark}"]
        with tempfile.TemporaryFile() as errors:
            status, last = _run(command, errors, (lambda _: None) if is_first else take, left)
            errors.seek(0)
            text = errors.read(CHUNK).decode(errors="replace").strip()
        if "not seeing messages" in text or "insufficient permissions" in text:
            hint = "usermod -aG systemd-journal USER"
            raise UnknownError("no permission to read the whole journal", hint=hint)
        if status and text:
            raise UnknownError(f"journalctl: {text.splitlines()[-1]}")
        if last.startswith(b"-- cursor: "):
            self.mark = last.removeprefix(b"-- cursor: ").decode(errors="replace").strip()
        elif is_first:  # journalctl prints nothing, and exits with 1
            hint = "check the unit, and who may read it"
            raise UnknownError(f"the journal has no entries of {self._unit}", hint=hint)


class Container:
    """The output of a container; the mark is the time of the last line."""

    has_gap = False
    unread = ""
    _STAMP = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+Z")

    def __init__(self, name: str) -> None:
        self.mark: Any = None
        self._name = name
        self._complaint = b""

    def read(self, take: Take, left: Left) -> None:
        command = ["docker", "logs", "--timestamps"]
        if is_first := self.mark is None:
            command += ["--tail=1"]
            self.mark = ""
        elif self.mark:
            # If the clock was set back, the mark is in the future.
            self.mark = min(self.mark, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            command += [f"--since={self.mark}"]
        since = self.mark.encode()

        def take_new(block: bytes) -> None:
            lines = list(self._newer(since, block))
            if lines and not is_first:
                take(b"\n".join(lines) + b"\n")

        # docker writes the stderr of the container to its own stderr.
        status, last = _run([*command, "--", self._name], subprocess.STDOUT, take_new, left)
        take_new(last)
        if status:
            text = self._complaint.decode(errors="replace").strip()
            raise UnknownError(f"docker logs: {text or f'exit status {status}'}")

    def _newer(self, since: bytes, block: bytes) -> Iterator[bytes]:
        """The lines after a time, without their times. Times compare as text: none is shortened."""
        for line in block.splitlines():
            stamp, _, text = line.partition(b" ")
            if not self._STAMP.fullmatch(stamp):
                self._complaint = line  # an error of docker has no time
            elif stamp > since:  # --since repeats the line of that time
                self.mark = max(self.mark, stamp.decode())
                yield text


def _run(command: Sequence[str], errors: Any, take: Take, left: Left) -> tuple[int, bytes]:
    """Take the output of a command except its last line. Returns the exit status and this line."""
    try:
        with memory.unlimited():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | {"LC_ALL": "C.UTF-8"},
            )
    except OSError as error:
        raise UnknownError(
            f"{command[0]}: {error.strerror}", hint=f"install {command[0]}, or add it to PATH"
        ) from None
    assert process.stdout is not None
    descriptor, rest = process.stdout.fileno(), b""
    try:
        while select.select([descriptor], [], [], left())[0]:
            if not (chunk := os.read(descriptor, CHUNK)):
                return process.wait(left()), rest
            rest += chunk
            end = rest.rfind(b"\n", 0, len(rest) - 1) + 1
            if end or len(rest) > LONGEST:
                take(rest[: end or len(rest)])
                rest = rest[end or len(rest) :]
        raise TimeoutError
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
