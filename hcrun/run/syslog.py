"""What hcrun says under cron, which may lose it: without a mailer, or with MAILTO=""."""

import posix
import time

from hcrun.environment import variables

_PRIORITY = 9 << 3 | 4  # cron, warning
_CRONS = {"cron", "crond", "anacron", "fcron"}


def keep(notes: list[str], check: str) -> None:
    """Write them to the system's log as well, unless they are seen on a terminal or kept there.

    cron passes on MAILTO if the crontab sets it; else only its process tells. Raises OSError.
    """
    at = posix.fstat(2)
    journal = f"{at.st_dev}:{at.st_ino}" == variables().get("JOURNAL_STREAM")
    if posix.isatty(2) or journal or not ("MAILTO" in variables() or _is_under_cron()):
        return
    import _socket  # few runs get here

    log = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    log.setblocking(False)  # a log that is stuck must not stop a job
    log.connect("/dev/log")
    when = time.strftime("%b %e %H:%M:%S")
    head = f"<{_PRIORITY}>{when} hcrun[{posix.getpid()}]: {check and f'{check}: '}"
    for note in notes:
        log.send(f"{head}{' '.join(note.split())}".encode("utf-8", "surrogateescape"))


def _is_under_cron() -> bool:
    pid = posix.getppid()
    while pid > 0:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
        if name in _CRONS:
            return True
        pid = int(rest.split()[1])
    return False
