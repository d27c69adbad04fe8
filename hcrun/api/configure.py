"""`configure`: settings in code."""

from hcrun import settings
from hcrun.errors import UsageError

_INHERITED = "\0"  # the default of `journal`
_LONGEST = 3600  # seconds


def configure(
    *,
    ping_url: str | None = None,
    api_url: str | None = None,
    ping_key: str | None = None,
    api_key: str | None = None,
    enabled: bool | None = None,
    journal: str | None = _INHERITED,
    flush_at_exit: float = 5.0,
) -> None:
    """Set settings in code, over those of the environment and of hcrun.env.

    Call it before the first run, or again in tests: each call replaces all settings of the one
    before, and `configure()` returns to those of the environment. `journal` is the directory of
    the journal; None keeps no journal. `flush_at_exit` is how many seconds the process stays at its
    end to deliver results; it may stay up to 5 until they are in the journal. Raises UsageError
    for what is no such value.
    """
    given = {"ping_url": ping_url, "api_url": api_url, "ping_key": ping_key, "api_key": api_key}
    values = {f"HEALTHCHECKS_{name.upper()}": value for name, value in given.items() if value}
    if enabled is not None:
        values["HEALTHCHECKS_ENABLED"] = str(enabled).lower()
    if journal != _INHERITED:
        values["STATE_DIRECTORY"] = journal or ""
    values["HCRUN_FLUSH_AT_EXIT"] = f"{flush_at_exit}s"
    for name, value in values.items():
        if not isinstance(value, str):
            raise UsageError(f"must be a text, not {value!r}", where=name)
    if enabled not in (None, True, False):
        raise UsageError(f"must be True or False, not {enabled!r}", where="enabled")
    if not isinstance(flush_at_exit, int | float) or not 0 <= flush_at_exit <= _LONGEST:
        raise UsageError(f"must be 0 to {_LONGEST} seconds", where="flush_at_exit")
    settings.in_code = values
