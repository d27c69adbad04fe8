"""The journal of another user, which root reads as that user.

Nobody vouches for what SQLite does with a file that was made to harm, and root would follow every
link in a directory of others. So each query runs in a child process that has the owner's rights,
opens the file read-only, and returns the rows as JSON.
"""

import json
import os
import pwd
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, NoReturn
from urllib.parse import quote

from hcrun.errors import JournalError
from hcrun.journal.database import TROUBLES, readable
from hcrun.journal.journal import Journal

_NOGROUP = 65534
_CPU = 60  # seconds
_MEMORY = 2 * 1024**3  # bytes; a view in the place of a table may have rows without end


def owner_of(path: str) -> int:
    """The user who owns the file, or the link; root if there is none, or for other users."""
    try:
        return 0 if os.geteuid() else os.lstat(path).st_uid
    except OSError:
        return 0


def connect(path: str, timeout: float = 5.0) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=timeout)
    db.text_factory = readable
    return db


class ForeignJournal(Journal):
    """A journal that only `query` can use; everything else raises JournalError."""

    def __init__(self, path: str, owner: int) -> None:
        self.path, self.set_aside, self.damaged = path, "", 0
        self._owner = owner

    def query(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        def read() -> list[Any]:
            with closing(connect(self.path)) as db:
                return db.execute(sql, values).fetchall()

        return [tuple(row) for row in as_user(self._owner, self.path, read)]

    def __enter__(self) -> NoReturn:
        what = f"belongs to user {self._owner}, and root only reads it"
        raise JournalError(what, where=self.path, hint="run this as that user")

    def try_lock(self, byte: int) -> NoReturn:  # noqa: ARG002 - of the base class
        self.__enter__()


def as_user(uid: int, path: str, work: Callable[[], Any]) -> Any:
    """What `work` returns; for root in a process of this user. Raises JournalError of `path`."""
    if not uid or os.geteuid():
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        answer: dict[str, Any] = {}
        try:
            os.close(reading)
            _become(uid)
            answer["result"] = work()
        except TROUBLES as error:
            answer["problem"] = getattr(error, "strerror", "") or str(error) or "out of memory"
        try:
            with open(writing, "w", encoding="utf-8", errors="replace") as pipe:
                json.dump(answer, pipe, default=repr)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8", errors="replace") as pipe:
        text = pipe.read(_MEMORY)
    os.waitpid(child, 0)
    try:
        answer = json.loads(text)
        if "result" in answer:
            return answer["result"]
    except (ValueError, RecursionError, TypeError):
        answer = {}
    problem = str(answer.get("problem", "its reader ended without an answer"))
    hint = f"it belongs to user {uid} and is read as that user"
    raise JournalError(problem, where=path, hint=hint)


def _become(uid: int) -> None:
    """Take the rights of a user for good."""
    groups = [_NOGROUP]
    try:
        user = pwd.getpwuid(uid)
        groups = [user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)]
    except KeyError:
        pass
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU, _CPU))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.setgroups(groups)
    os.setresgid(groups[0], groups[0], groups[0])
    os.setresuid(uid, uid, uid)
