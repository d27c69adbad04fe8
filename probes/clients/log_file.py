"""Read what was written to a log file since a mark, even if the file was rotated meanwhile."""

import errno
import importlib
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import IO, Any, NamedTuple, Protocol

from probes.framework.probe import UnknownError

CHUNK = 256 * 1024
LONGEST = 1024 * 1024  # a line that is longer is taken in pieces
TAIL = 1024

Take = Callable[[bytes], None]
Left = Callable[[], float]


class Log(Protocol):
    """A log that is read from the position of the last run.

    `mark` is that position, as a JSON value; None means that it was never read. `read` passes all
    that came after it to `take`, in blocks of whole lines, and moves the mark; the first time, it
    only sets the mark to the end. `left` returns the seconds left, or raises TimeoutError; the mark
    is then where reading stopped. Raises UnknownError if the log cannot be read.
    """

    mark: Any
    has_gap: bool  # whether lines after the mark are lost
    unread: str  # the path of a file with lines after the mark, of an unknown compression, or ""

    def read(self, take: Take, left: Left) -> None: ...


class Mark(NamedTuple):
    """A position in a file: its offset, and a checksum of the `length` bytes before it.

    The checksum identifies the file after it was renamed, copied or compressed. It differs in a new
    file with the same inode, and in a file that was truncated and has grown again. At the beginning
    of a file there are no such bytes, so the inode identifies it.
    """

    inode: int
    modified: int  # the file's mtime, in nanoseconds
    offset: int
    length: int
    checksum: int


_MODULES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}  # by what they unpack
_PACKED = tuple(_MODULES)


class _BrokenError(Exception):
    """A packed file that cannot be unpacked."""


class _File:
    """An open log file, plain or packed, and the position up to which it was taken."""

    def __init__(self, path: str) -> None:
        # O_NONBLOCK: else opening a named pipe waits for a writer. SIM115: close() closes it.
        raw = open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK))  # noqa: SIM115
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            raw.close()
            raise UnknownError(f"{path}: not a regular file")
        self.inode, self.modified = status.st_ino, status.st_mtime_ns
        self._raw, self._size = raw, status.st_size
        self._unpacked: IO[bytes] = raw
        self._is_packed = path.endswith(_PACKED)
        if self._is_packed:
            self._unpacked = importlib.import_module(_MODULES[path[path.rindex(".") :]]).open(raw)
        self._offset, self._tail = 0, b""

    def close(self) -> None:
        self._raw.close()

    def read(self, left: Left) -> bytes:
        left()
        with self._broken():
            return self._unpacked.read(CHUNK)

    @contextmanager
    def _broken(self) -> Iterator[None]:
        """Raises _BrokenError for what gzip, bz2 and lzma raise; that of bz2 is an OSError."""
        try:
            yield
        except Exception as error:
            if self._is_packed and not getattr(error, "errno", None):
                raise _BrokenError from None
            raise

    def passed(self, block: bytes) -> None:
        self._offset += len(block)
        self._tail = (self._tail + block[-TAIL:])[-TAIL:]

    def mark(self) -> Mark:
        checksum = zlib.crc32(self._tail)
        return Mark(self.inode, self.modified, self._offset, len(self._tail), checksum)

    def seek(self, mark: Mark, left: Left) -> bool:
        """Go to the mark. Returns False, and stays at the beginning, if it is of another file."""
        if not mark.length:
            return self.inode == mark.inode
        if self._is_packed or self._size >= mark.offset:
            left()
            with self._broken():
                self._unpacked.seek(mark.offset - mark.length)  # reads a packed file up to there
                tail = self._unpacked.read(mark.length)
            if (len(tail), zlib.crc32(tail)) == mark[3:]:
                self._offset, self._tail = mark.offset, tail
                return True
            self._unpacked.seek(0)
        return False

    def seek_end(self) -> None:
        length = min(TAIL, self._size)
        self._offset = self._size
        self._unpacked.seek(self._size - length)
        self._tail = self._unpacked.read(length)


_UNREADABLE = (".zst", ".lz4", ".lzma", ".lzo", ".Z", ".zip", ".7z")


class LogFile:
    """A log file and its rotated files: renamed, dated, copied and truncated, packed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.mark: Any = None
        self.has_gap = False
        self.unread = ""

    def read(self, take: Take, left: Left) -> None:
        try:
            if self.mark is None:
                with closing(_File(self.path)) as file:
                    file.seek_end()
                    self.mark = file.mark()
            else:
                self._read(Mark(*self.mark), take, left)
        except TimeoutError:  # is an OSError
            raise
        except OSError as error:
            text = f"{error.filename or self.path}: {error.strerror or error}"
            is_denied = error.errno == errno.EACCES
            hint = "usermod -aG adm USER" if is_denied else "check the path"
            raise UnknownError(text, hint=hint) from None

    def _read(self, mark: Mark, take: Take, left: Left) -> None:
        with suppress(FileNotFoundError), closing(_File(self.path)) as file:
            if file.inode == mark.inode and file.seek(mark, left):
                self._take(file, take, left)
                return
        # It was rotated: first the rest of the file with the mark, then all newer files.
        found = self._rotated()
        rotated = [path for path in found if not path.endswith(_UNREADABLE)]
        marked, since = self._take_rest(mark, rotated, take, left)
        for path in rotated:
            if path != marked and os.stat(path).st_mtime_ns > since:
                try:
                    with closing(_File(path)) as file:
                        self._take(file, take, left, is_ended=True)
                except _BrokenError:
                    self.has_gap = True
        for path in found:
            if path.endswith(_UNREADABLE) and os.stat(path).st_mtime_ns > since:
                self.unread = path
        try:
            with closing(_File(self.path)) as file:
                # No rotated file has the mark: this file may be a copy, or restored.
                if not marked and mark.length and not file.seek(mark, left):
                    self.has_gap = not self.unread
                self._take(file, take, left)
        except FileNotFoundError:
            if not marked:  # else the file is created with its next line
                raise

    def _take_rest(self, mark: Mark, rotated: list[str], take: Take, left: Left) -> tuple[str, int]:
        """Take the rest of the file with the mark. Returns its path ("" for none) and its mtime."""
        for path in reversed(rotated):
            with suppress(_BrokenError), closing(_File(path)) as file:
                if file.seek(mark, left):
                    try:
                        self._take(file, take, left, is_ended=True)
                    except _BrokenError:
                        self.has_gap = True
                    return path, file.modified
        return "", mark.modified

    def _rotated(self) -> list[str]:
        """The rotated files, oldest first: log.1, log.2.gz, log-20260131, app-20260131.log.

        Not log.1.gz if there is log.1, because gzip is still writing it.
        """
        directory, base = os.path.split(self.path)
        stem, extension = map(re.escape, os.path.splitext(base))
        packed = "|".join(map(re.escape, _PACKED + _UNREADABLE))
        number = r"[.-]\d[\dT:._-]*"
        name = re.compile(rf"{stem}({extension}{number}|{number}{extension})({packed})?")
        entries = set(filter(name.fullmatch, os.listdir(directory or ".")))
        paths = [
            os.path.join(directory, entry)
            for entry in entries
            if not entry.endswith(_PACKED + _UNREADABLE)
            or os.path.splitext(entry)[0] not in entries
        ]
        return sorted(paths, key=lambda path: os.stat(path).st_mtime_ns)

    def _take(self, file: _File, take: Take, left: Left, *, is_ended: bool = False) -> None:
        """Take the rest of a file, without an incomplete last line unless `is_ended`."""
        self.mark = file.mark()
        rest = b""
        while chunk := file.read(left):
            rest += chunk
            end = rest.rfind(b"\n") + 1 or (len(rest) if len(rest) > LONGEST else 0)
            if end:
                self._pass(file, rest[:end], take)
                rest = rest[end:]
        if rest and is_ended:
            self._pass(file, rest, take)

    def _pass(self, file: _File, block: bytes, take: Take) -> None:
        take(block)
        file.passed(block)
        self.mark = file.mark()
