"""Hands hcrun's terminal to a command that has no pseudo-terminal, and takes it back.

The command's process group is never the terminal's foreground group by itself, so the kernel
stops the command when it reads from the terminal or sets its modes.
"""

import _signal as signal
import os
import time

from hcrun.run.signals import stop


def hand_over(group: int, number: int, has_terminal: bool) -> bool:
    """React to signal `number`, which stopped the command; returns whether it has the terminal now.

    If it asked for the terminal (SIGTTIN, SIGTTOU), it gets it once hcrun has it. If Ctrl-Z
    stopped it while it had the terminal, hcrun stops as well, and hands it over again afterwards.
    """
    asks = number in (signal.SIGTTIN, signal.SIGTTOU)
    if not asks and not has_terminal:
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
        has_terminal = in_foreground(terminal)
        if has_terminal:
            os.tcsetpgrp(terminal, group)
        else:
            time.sleep(0.05)  # if the kernel did not stop hcrun, the command asks again at once
        os.killpg(group, signal.SIGCONT)
        return has_terminal
    except OSError:  # the terminal or the command has vanished
        return False
    finally:
        os.close(terminal)


def take_back() -> None:
    """Make hcrun's own group the terminal's foreground group again."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        os.tcsetpgrp(terminal, os.getpgrp())
    except OSError:  # the terminal has vanished
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(terminal)


def in_foreground(fd: int) -> bool:
    """Whether hcrun's group is the terminal's foreground group."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
