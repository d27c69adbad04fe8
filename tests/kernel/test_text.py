"""Text for one line."""

import pytest

from hcrun.text import counted, listed


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (list("abcde"), "a, b, c, d, e"),
        (list("abcdef"), "a, b, c, d, e and 1 more"),
    ],
)
def test_listed(names: list[str], text: str) -> None:
    assert listed(names) == text


def test_counted() -> None:
    numbers = (0, 1, 2, 1200)
    assert [counted(n, "run") for n in numbers] == ["0 runs", "1 run", "2 runs", "1,200 runs"]
