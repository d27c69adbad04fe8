"""Text for one line."""

import pytest

from hcrun.text import checksum, counted, listed


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


def test_checksum() -> None:
    """The published values of FNV-1a, 32 bits: the lock files and the splay of a host stay."""
    values = {"": 0x811C9DC5, "a": 0xE40C292C, "foobar": 0xBF9CF968}
    assert {text: checksum(text) for text in values} == values
