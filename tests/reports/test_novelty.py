"""The detector of new readings: what it finds, and its score on a public benchmark."""

import csv
import io
import json
import math
import random
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.reports.novelty import NOTABLE, QUIET, Detector

DAY = 86400.0
# The data of the Numenta Anomaly Benchmark, with their licence. They lie beside the checkout.
NAB = Path(__file__).parents[3] / "shared/anomaly/nab.tar.xz"


def readings(days: int, every: float = 300) -> Iterator[tuple[float, float]]:
    """Clients of a service: more by day than by night, with noise."""
    chance = random.Random(7)
    for number in range(int(days * DAY / every)):
        at = number * every
        by_day = 60 + 40 * math.sin(2 * math.pi * (at % DAY) / DAY)
        yield at, by_day + chance.gauss(0, 4)


def notable(series: list[tuple[float, float]]) -> list[tuple[float, str]]:
    """When the detector would say so, and which channel; then it is silent for a day."""
    detector, found = Detector(), list[tuple[float, str]]()
    for at, value in series:
        new = detector.add(at, value)
        if new.score >= NOTABLE and (not found or at - found[-1][0] >= QUIET):
            found.append((at, new.channel))
    return found


def test_a_month_as_usual() -> None:
    assert len(notable(list(readings(30)))) <= 2


@pytest.mark.parametrize(
    ("value", "channels"),
    [
        (lambda at, usual: 160.0 if at > 29.5 * DAY else usual, {"point", "level"}),  # a peak
        (lambda at, usual: 0.0 if at > 29.5 * DAY else usual, {"point", "level"}),  # a drop to zero
        (lambda at, usual: 95.0 if 29.7 * DAY < at < 29.8 * DAY else usual, {"point"}),  # by night
        (lambda at, usual: usual + max(0.0, at / DAY - 26) * 15, {"point", "level"}),  # a leak
    ],
    ids=["peak", "zero", "a day's value by night", "leak"],
)
def test_what_is_new(value: object, channels: set[str]) -> None:
    assert callable(value)
    series = [(at, float(value(at, usual))) for at, usual in readings(30)]
    found = [channel for at, channel in notable(series) if at > 26 * DAY]
    assert channels & set(found)


def test_a_flat_line_after_noise() -> None:
    chance = random.Random(7)
    series = [(at * 60.0, 50 + chance.gauss(0, 5)) for at in range(5 * 1440)]
    series += [(at * 60.0, 50.0) for at in range(5 * 1440, 6 * 1440)]
    at, channel = notable(series)[-1]
    assert 5 * DAY < at < 5.5 * DAY
    assert channel == "spread"


@given(st.lists(st.floats(-1e12, 1e12), max_size=300), st.integers(0, 299))
def test_a_state_is_all_there_is(values: list[float], at: int) -> None:
    """Saved and restored in between, it says the same; no value makes it fail."""
    whole, half = Detector(), Detector()
    for number, value in enumerate(values):
        if number == at:
            half = Detector.restored(json.loads(json.dumps(half.state())))
        new, again = whole.add(number * 700.0, value), half.add(number * 700.0, value)
        assert new.channel == again.channel
        assert math.isclose(new.score, again.score, rel_tol=1e-6, abs_tol=1e-9)
        assert new.score >= 0


class File(NamedTuple):
    """One series of the benchmark, and the indexes in which something happens."""

    rows: list[tuple[float, float]]
    windows: list[tuple[int, int]]


def benchmark() -> list[File]:
    with tarfile.open(NAB) as archive:

        def text(name: str) -> io.TextIOWrapper:
            member = archive.extractfile(f"nab/{name}")
            assert member
            return io.TextIOWrapper(member, "utf-8")

        def when(words: str) -> float:
            return datetime.fromisoformat(words[:19]).replace(tzinfo=UTC).timestamp()

        files = []
        for name, windows in sorted(json.load(text("labels/combined_windows.json")).items()):
            rows = [(when(at), float(x)) for at, x in list(csv.reader(text(f"data/{name}")))[1:]]
            index = {at: number for number, (at, _) in reversed(list(enumerate(rows)))}
            files.append(File(rows, [(index[when(a)], index[when(b)]) for a, b in windows]))
        return files


def sigmoid(position: float) -> float:
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


def points(file: File) -> tuple[float, int]:
    """Its points in the benchmark's standard profile, and the number of its windows that count.

    Lavin and Ahmad 2015, Evaluating Real-time Anomaly Detection Algorithms. A window that is found
    late counts less; a false alarm costs 0.11, less just behind a window.
    """
    probation = min(math.floor(0.15 * len(file.rows)), 750)
    index = {at: number for number, (at, _) in reversed(list(enumerate(file.rows)))}
    found = {window: -1.0 for window in file.windows if window[1] >= probation}
    false = 0.0
    for number in (index[at] for at, _ in notable(file.rows)):
        if number < probation:
            continue
        inside = [each for each in file.windows if each[0] <= number <= each[1]]
        before = [each for each in file.windows if each[1] < number]
        if inside:
            first, last = inside[0]
            gain = sigmoid(-(last - number + 1) / (last - first + 1)) / sigmoid(-1.0)
            found[inside[0]] = max(found[inside[0]], gain)
        elif before:
            first, last = before[-1]
            false += 0.11 * sigmoid((number - last) / (last - first))
        else:
            false -= 0.11
    return sum(found.values()) + false, len(found)


def score(files: list[File]) -> float:
    """0: as silence; 100: everything found at once, and nothing else."""
    total = [points(file) for file in files]
    windows = sum(count for _, count in total)
    return 100 * (sum(each for each, _ in total) + windows) / (2 * windows)


@pytest.mark.skipif(not NAB.exists(), reason="the benchmark's data are not beside this checkout")
def test_score_on_the_benchmark() -> None:
    """At the shipped threshold, which is not searched for here."""
    files = benchmark()
    assert sum(len(file.rows) for file in files) == 365_558
    whole, half = score(files), score(files[1::2])
    print(f"NAB, standard profile: {whole:.1f}; each second file: {half:.1f}")
    assert whole >= 70
    assert half >= 65
