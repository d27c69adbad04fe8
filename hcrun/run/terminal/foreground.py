"""hcrun's terminal in the hands of a command that shares it, and was stopped for asking.

The command has a process group of its own, which is never the terminal's foreground by itself:
the kernel stops it when it reads from the terminal or sets its modes.
"""

from __future__ import annotations

import _signal as signal
import os
import time

from hcrun.run.signals import stop


def hand_over(group: int, number: int, lent: bool) -> bool:
    """A command that shares hcrun's terminal was stopped by signal `number`.

    It gets the terminal when it asked for it (SIGTTIN, SIGTTOU) and hcrun has it; when Ctrl-Z
    stopped it while it had the terminal, hcrun stops as well, and lends it again afterwards.
    Returns whether the terminal is lent now.
    """
    asks = number in (signal.SIGTTIN, signal.SIGTTOU)
    if not asks and not lent:
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not asks:
            take_back()
        if not asks or not in_foreground(terminal):
            stop(0, number)  # until the shell's `fg` or `bg`
        lent = in_foreground(terminal)
        if lent:
            os.tcsetpgrp(terminal, group)
        else:
            time.sleep(0.05)  # where the kernel has not stopped us: it may ask again and again
        os.killpg(group, signal.SIGCONT)
        return lent
    except OSError:  # the terminal or the command has vanished
        return False
    finally:
        os.close(terminal)


def take_back() -> None:
    """Make hcrun's own group the terminal's foreground again."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        os.tcsetpgrp(terminal, os.getpgrp())
    except OSError:  # the terminal has vanished
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(terminal)


def in_foreground(fd: int) -> bool:
    """Whether hcrun's group is the terminal's foreground group."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
