"""HTML in which all text is escaped, because nothing else can be written."""

from __future__ import annotations

from html import escape


class Markup(str):
    """What is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | bool) -> Markup:
    """`tag("p", "a < b", class_="x")`: `<p class="x">a &lt; b</p>`. Children without a gap.

    In the names of attributes a final _ goes, others become -; True is an attribute without a
    value, False none.
    """
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_value(value)}"')
        for key, value in attributes.items()
        if value is not False
    )
    if name in ("meta", "link", "rect", "path", "line", "circle") and not children:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{together(*children)}</{name}>")


def together(*children: str) -> Markup:
    """One after the other; what is no markup is text."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    )


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
