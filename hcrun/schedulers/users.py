"""The users of this host, and what they may access."""

import os
import pwd
from dataclasses import dataclass

from hcrun.files import text_of


@dataclass(frozen=True)
class User:
    """As the kernel knows one; `groups` has all of the user's, the primary one first."""

    uid: int
    groups: tuple[int, ...]
    name: str = ""
    home: str = ""


def find(name: str, root: str = "/") -> User | None:
    """The user of that name; of another root only its own /etc/passwd is read."""
    if os.path.realpath(root) == "/":
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        groups = dict.fromkeys([entry.pw_gid, *os.getgrouplist(name, entry.pw_gid)])
        return User(entry.pw_uid, tuple(groups), name, entry.pw_dir)
    for line in _passwd(root):
        fields = line.split(":")
        if fields[0] == name and len(fields) > 5 and fields[2].isdigit() and fields[3].isdigit():
            return User(int(fields[2]), (int(fields[3]),), name, fields[5])
    return None


def unknown(name: str, root: str = "/") -> bool:
    """Whether it is certain that there is no such user."""
    return find(name, root) is None and (os.path.realpath(root) == "/" or bool(_passwd(root)))


def _passwd(root: str) -> list[str]:
    return text_of(os.path.join(root, "etc/passwd")).splitlines()


def can_access(user: User, path: str, mode: int, root: str = "/") -> bool:
    """Whether the user may access the path below `root`; True for others if this is not root."""
    if user.uid == os.geteuid():
        return os.access(os.path.join(root, path.lstrip("/")), mode)
    if os.geteuid() != 0:
        return True
    child = os.fork()
    if not child:
        status = 2
        try:
            os.chroot(root)
            os.setgroups(user.groups)
            os.setgid(user.groups[0])
            os.setuid(user.uid)
            status = 0 if os.access(path, mode) else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
