"""What a returned value says: of a monitored function, and of a probe of `/health`."""

from collections.abc import Callable
from typing import Any

from hcrun.api.run import shown

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"
Verdict = bool | str | None  # True or None: success; False or a text (the reason): failure

_WORDS = {
    OK: ("ok", "healthy", "up", "pass", "passed", "success", "succeeded"),
    WARNING: ("warning", "warn", "degraded"),
    CRITICAL: ("critical", "unhealthy", "down", "fail", "failed", "failure", "error"),
    UNKNOWN: ("unknown",),
}
_STATUS_OF: dict[object, str] = {word: status for status, words in _WORDS.items() for word in words}
_STATUS_OF |= {True: OK, False: CRITICAL}
_KEYS = ("status", "overall_status", "ok", "healthy", "success")
_MESSAGES = ("message", "error", "reason", "detail")


def failure(result: object, validate: Callable[[Any], Verdict] | None) -> str | None:
    """Return why a monitored function has failed by its result; None if it has not."""
    try:
        if validate is None:
            found = said(result)
            return shown(result) if found and found[0] in (CRITICAL, UNKNOWN) else None
        answer = validate(result)
    except Exception as error:
        answer = f"{type(error).__name__}: {shown(error)}"
    if answer is None or answer is True:
        return None
    if answer is False:
        reason = ""
    elif isinstance(answer, str):
        reason = f"{answer}; "
    else:
        reason = f"validate returned {_quoted(answer)}, not True, None, False or a text; "
    return f"{reason}returned {_quoted(result)}"


def verdict(answer: object) -> tuple[str, str]:
    """Return the status and the message of what a probe of `/health` returned."""
    if answer is None or isinstance(answer, bool):
        return (CRITICAL, "returned False") if answer is False else (OK, "")
    if isinstance(answer, str):
        return CRITICAL, answer
    return said(answer) or (UNKNOWN, f"returned {_quoted(answer)}, which is no verdict")


def said(result: object) -> tuple[str, str] | None:
    """Return status and message of `(False, "why")`, `{"status": "unhealthy"}` and the like."""
    if isinstance(result, tuple) and [type(each) for each in result] == [bool, str]:
        return _STATUS_OF[result[0]], result[1]
    if not isinstance(result, dict):
        return None
    for key in _KEYS:
        value = result.get(key)
        word = value.lower() if isinstance(value, str) else value
        if isinstance(word, str | bool) and word in _STATUS_OF:
            texts = [result[name] for name in _MESSAGES if isinstance(result.get(name), str)]
            return _STATUS_OF[word], texts[0] if texts else shown(value)
    return None


def _quoted(value: object) -> str:
    try:
        return shown(repr(value))
    except Exception:  # its own __repr__ may be broken
        return f"a {type(value).__name__}"
