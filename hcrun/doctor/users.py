"""Who is on this host, and what they may read."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass


@dataclass(frozen=True)
class User:
    """As the kernel knows one."""

    uid: int
    groups: frozenset[int]


def find(name: str, root: str = "/") -> User | None:
    """None when there is no such user; of another root only its own files are asked."""
    if os.path.realpath(root) == "/":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return User(entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))
    for line in _passwd(root):
        fields = line.split(":")
        if fields[0] == name and len(fields) > 3 and fields[2].isdigit() and fields[3].isdigit():
            return User(int(fields[2]), frozenset([int(fields[3])]))
    return None


def unknown(name: str, root: str = "/") -> bool:
    """Whether it is certain that there is no such user."""
    return find(name, root) is None and (os.path.realpath(root) == "/" or bool(_passwd(root)))


def _passwd(root: str) -> list[str]:
    try:
        with open(os.path.join(root, "etc/passwd"), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def may_read(user: User, path: str) -> bool:
    """Whether the modes let the user get to the file and read it; ACLs are not looked at."""
    if not user.uid:
        return True
    way = [path]
    while way[-1] != os.path.dirname(way[-1]):
        way.append(os.path.dirname(way[-1]))
    try:
        return all(
            _allows(os.stat(step), user, stat.S_IROTH if step == path else stat.S_IXOTH)
            for step in way
        )
    except OSError:
        return False


def _allows(status: os.stat_result, user: User, bit: int) -> bool:
    """`bit` is the one of others; that of the owner and of the group come before it."""
    if status.st_uid == user.uid:
        return bool(status.st_mode & bit << 6)
    if status.st_gid in user.groups:
        return bool(status.st_mode & bit << 3)
    return bool(status.st_mode & bit)
