"""Maintenance windows: what the journal knows of them."""

from pathlib import Path

import pytest

from hcrun.journal.database import Database
from hcrun.journal.journal import Journal
from hcrun.journal.maintenance import (
    Window,
    begin,
    between,
    check_key,
    delete,
    end,
    extend,
    in_progress,
    span,
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Journal(str(tmp_path))


def a_window(name: str, began: float, until: float | None = None) -> Window:
    return Window(0, name * 3, name, began, until, None, "upgrade", "root", True, True)


def test_a_window_from_its_beginning_to_its_end(database: Database) -> None:
    number = begin(database, a_window("redis", 100.0, 200.0))
    (window,) = in_progress(database)
    assert window == Window(
        number, "redis" * 3, "redis", 100.0, 200.0, None, "upgrade", "root", True, True
    )
    assert (window.due(199.9), window.due(200.0)) == (False, True)
    extend(database, number, None, "")
    (window,) = in_progress(database)
    assert (window.until, window.reason, window.due(9e9)) == (None, "upgrade", False)
    extend(database, number, 300.0, "disk")
    end(database, number, 250.0)
    end(database, number, 260.0)
    assert in_progress(database) == []
    (window,) = between(database, 0, 1000, 1000)
    assert (window.until, window.reason, window.ended) == (300.0, "disk", 250.0)
    delete(database, begin(database, a_window("other", 400.0)))
    assert len(between(database, 0, 1000, 1000)) == 1


@pytest.mark.parametrize(
    ("began", "until", "ended", "now", "expected"),
    [
        (100, 200, None, 150, (100, 150)),
        (100, 200, None, 300, (100, 200)),  # nobody has ended it, but that was not planned
        (100, 200, 120, 300, (100, 120)),
        (100, 200, 260, 300, (100, 260)),
        (100, None, None, 300, (100, 300)),
        (100, None, 150, 300, (100, 150)),
    ],
)
def test_how_long_it_was(
    began: float,
    until: float | None,
    ended: float | None,
    now: float,
    expected: tuple[float, float],
    database: Database,
) -> None:
    number = begin(database, a_window("a", began, until))
    if ended is not None:
        end(database, number, ended)
    (window,) = between(database, 0, 1000, now)
    assert span(window, now) == expected
    first, last = expected
    assert between(database, last - 1, last + 1, now) == [window]
    assert between(database, first - 1, first + 1, now) == [window]
    assert between(database, last, last + 50, now) == []
    assert between(database, first - 50, first, now) == []


def test_the_key_of_a_check_is_the_servers() -> None:
    """As a real server told it of this uuid with a read-only key."""
    uuid = "26fe5801-2b7c-4bc7-a67c-97a3c330ba73"
    assert check_key(uuid) == "24cbdf8567001b6a9bfbc0187577868fd935fcec"
