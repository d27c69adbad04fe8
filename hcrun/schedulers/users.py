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
    name: str = ""
    home: str = ""


def find(name: str, root: str = "/") -> User | None:
    """None when there is no such user; of another root only its own files are asked."""
    if os.path.realpath(root) == "/":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return User(
            entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)), name, entry.pw_dir
        )
    for line in _passwd(root):
        fields = line.split(":")
        if fields[0] == name and len(fields) > 5 and fields[2].isdigit() and fields[3].isdigit():
            return User(int(fields[2]), frozenset([int(fields[3])]), name, fields[5])
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
    return _may(user, path, stat.S_IROTH)


def may_make(user: User, path: str, root: str = "/") -> bool:
    """The same for a directory: whether it is the user's to write in, or can be made.

    How to get to `root` is nothing to its users.
    """
    while not os.path.lexists(path) and path != root:
        path = os.path.dirname(path)
    return _may(user, path, stat.S_IWOTH | stat.S_IXOTH, root)


def _may(user: User, path: str, bits: int, root: str = "/") -> bool:
    if not user.uid:
        return True
    way = [path]
    while way[-1] not in (root, os.path.dirname(way[-1])):
        way.append(os.path.dirname(way[-1]))
    try:
        return all(
            _allows(os.stat(step), user, bits if step == path else stat.S_IXOTH) for step in way
        )
    except OSError:
        return False


def _allows(status: os.stat_result, user: User, bits: int) -> bool:
    """`bits` are those of others; those of the owner and of the group come before them."""
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid in user.groups else 0
    return status.st_mode & bits << shift == bits << shift
