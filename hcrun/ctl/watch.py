"""Redraws the screen without flicker until Ctrl-C."""

import shutil
import signal
import sys
from collections.abc import Callable

from hcrun.errors import UsageError

# The alternate screen, no cursor, no wrapping of long lines; back again.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def watch(draw: Callable[[], list[str]], seconds: float) -> None:
    """Show the lines that `draw` returns, every `seconds` and when the window is resized.

    Raises UsageError without a terminal.
    """
    if not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal", hint="leave it out, or use watch(1)")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    _write(_ENTER)
    try:
        while True:
            _write(frame(draw(), shutil.get_terminal_size().lines))
            signal.sigtimedwait({signal.SIGWINCH}, seconds)
    except KeyboardInterrupt:
        pass
    finally:
        _write(_LEAVE)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def frame(lines: list[str], height: int) -> str:
    """The text that replaces the screen line by line, without blanking it first."""
    if len(lines) > height:
        more = len(lines) - height + 1
        lines = [*lines[: height - 1], f"({more} more lines do not fit)"]
    return _HOME + "\r\n".join(line + _REST_OF_LINE for line in lines) + _REST_OF_SCREEN
