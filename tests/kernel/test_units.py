"""Durations and sizes, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.units import seconds, size, span, volume


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", 90),
        ("90s", 90),
        ("0", 0),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("5m", 300),
        ("5min", 300),
        ("1h30m", 5400),
        ("1d12h", 129600),
        ("2d", 172800),
        ("1w", 604800),
        (" 5M ", 300),
        ("3660d", 316224000),
    ],
)
def test_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "-5", "5x", "5 m", "1h 30m", "1h30", "1.2.3s", ".", "1e3", "inf", "٣s", "5µs"],
)
def test_no_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration") as caught:
        seconds(text)
    assert str(caught.value) == (f"{text!r} is not a duration; write it like 30s, 5m, 1h30m or 2d")


def test_seconds_without_end() -> None:
    with pytest.raises(ValueError, match=r"^'99999d' is longer than ten years$"):
        seconds("99999d")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4096", 4096),
        ("4096B", 4096),
        ("200MB", 200_000_000),
        ("200m", 200_000_000),
        ("200MiB", 200 * 1024**2),
        ("1.5GiB", 1.5 * 1024**3),
        ("2TB", 2_000_000_000_000),
        ("1kib", 1024),
    ],
)
def test_size(text: str, value: float) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "MB", "-1", "5 MB", "5XB", "1MB1", "1.2.3MB"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size") as caught:
        size(text)
    assert str(caught.value) == f"{text!r} is not a size; write it like 200MB or 1.5GiB"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (0.0002, "under 1 ms"),
        (0.0007, "1 ms"),
        (0.042, "42 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (0.42, "0.42 s"),
        (0.999, "1 s"),
        (5, "5 s"),
        (9.994, "9.99 s"),
        (9.996, "10 s"),
        (12.34, "12.3 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (60, "1 min"),
        (302, "5 min 2 s"),
        (3599.6, "1 h"),
        (3600, "1 h"),
        (3659, "1 h"),
        (11040, "3 h 4 min"),
        (86400, "1 d"),
        (90000, "1 d 1 h"),
        (-1.5, "-1.5 s"),
    ],
)
def test_span(value: float, text: str) -> None:
    assert span(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999.6, "1.0 kB"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (15_200_000, "15.2 MB"),
        (40_000_000_000, "40.0 GB"),
        (2_500_000_000_000, "2.5 TB"),
        (5_000_000_000_000_000, "5000.0 TB"),
    ],
)
def test_volume(value: float, text: str) -> None:
    assert volume(value) == text


@given(st.floats(min_value=0.001, max_value=3e8))
def test_what_span_writes_seconds_reads(value: float) -> None:
    assert seconds(span(value).replace(" ", "")) == pytest.approx(value, rel=0.5, abs=0.001)
