"""The texts that lie in files: help, queries, patterns."""

import os

_PROBES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def unwrapped(text: str) -> str:
    """The text as click prints it with its own line breaks."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.split("\n\n"))


def text_of(name: str) -> str:
    """The text of a file of this package."""
    with open(os.path.join(_PROBES, name), encoding="utf-8") as file:
        return file.read()
