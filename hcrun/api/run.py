"""`Run`: what the code of a run adds to its report."""

from hcrun.run.output import Tail
from hcrun.text import shortened

_MAX_TEXT = 10_000  # characters of one text; the journal shows 500


class Run:
    """One run, as `with monitor_task(...) as run` and `current_run()` give it."""

    def __init__(self) -> None:
        self._output = Tail()
        self._failure: str | None = None
        self._details: dict[str, object] = {}

    def log(self, text: str) -> None:
        """Add a line to the body of the end ping; sends nothing now."""
        self._output.add(f"{shown(text)}\n".encode("utf-8", "replace"))

    def fail(self, why: str = "") -> None:
        """Mark the run as failed, whatever the function returns."""
        self._failure = shown(why)

    def set(self, **details: object) -> None:
        """Facts for the end ping and the journal, as tenants=42."""
        self._details |= details

    def _facts(self) -> str:
        return " ".join(f"{name}={shown(value)}" for name, value in self._details.items())


def shown(value: object) -> str:
    """The value as a text, cut; never raises."""
    try:
        return shortened(str(value), _MAX_TEXT)
    except Exception:  # its own __str__ may be broken
        return f"a {type(value).__name__} that cannot be shown"
