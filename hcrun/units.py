"""Durations, sizes and times as people write and read them; without `re` and `datetime`."""

import time

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"": 1, "b": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BYTES |= {"kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
_BYTES |= {"kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4}


def seconds(text: str) -> float:
    """Read a duration: `90`, `90s`, `1.5h`, `1h30m`, `500ms`, `2d`; a bare number is seconds.

    Raises ValueError, whose text says how to write it.
    """
    total = 0.0
    rest = text.strip().lower()
    wrong = ValueError(f"{text!r} is not a duration; write it like 30s, 5m, 1h30m or 2d")
    if not rest:
        raise wrong
    while rest:
        number, unit, rest = _split_number(rest)
        if not number or (not unit and (total or rest)):
            raise wrong
        try:
            total += float(number) * _SECONDS[unit or "s"]
        except (KeyError, ValueError):
            raise wrong from None
    if total > 10 * 366 * 86400:
        raise ValueError(f"{text!r} is longer than ten years")
    return total


def _split_number(text: str) -> tuple[str, str, str]:
    """`1h30m` -> (`1`, `h`, `30m`)."""
    after = text.lstrip("0123456789.")
    rest = after.lstrip("abcdefghijklmnopqrstuvwxyz")
    return text.removesuffix(after), after.removesuffix(rest), rest


def size(text: str) -> float:
    """Read a size: `200MB` (10**6), `200MiB` (2**20), `4096`. Raises ValueError, as `seconds`."""
    number, unit, rest = _split_number(text.strip().lower())
    try:
        if rest:
            raise ValueError
        return float(number) * _BYTES[unit]
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is not a size; write it like 200MB or 1.5GiB") from None


def span(value: float) -> str:
    """A duration for people: `42 ms`, `0.42 s`, `12.3 s`, `5 min 2 s`, `3 h`, `2 d 1 h`."""
    if value < 0:
        return "-" + span(-value)
    if 0 < value < 0.0995:
        return f"{value * 1000:.0f} ms" if value >= 0.0005 else "under 1 ms"
    if value < 59.95:
        return f"{round(value, 2 if value < 9.995 else 1):g} s"
    whole = round(value)
    if 86400 < whole < 2 * 86400 and whole % 3600 >= 60:
        return f"{whole // 3600} h {whole % 3600 // 60} min"  # days and hours would drop much
    for unit, length, below, below_length in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= length:
            more = whole % length // below_length
            return f"{whole // length} {unit}" + (f" {more} {below}" if more else "")
    raise AssertionError  # whole is at least 60 here


def volume(value: float) -> str:
    """A size in bytes for people, in powers of 1000: `812 B`, `1.2 MB`."""
    if value < 999.5:
        return f"{value:.0f} B"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def utc(when: float) -> str:
    """A time in seconds since the epoch for people: `2026-11-07 13:05:00 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when))


def local(when: float) -> str:
    """The same in the time zone of this process: `2026-11-07 14:05:00 CET`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(when))


def iso(when: float | None) -> str | None:
    """A time for programs, in ISO 8601: `2026-11-07T13:05:00Z`; None for None."""
    return None if when is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
