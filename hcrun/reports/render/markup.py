"""HTML in which all text is escaped, because nothing else can be written."""

from html import escape

_VOID = ("meta", "link", "rect", "path")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """`tag("p", "a < b", class_="x")` returns `<p class="x">a &lt; b</p>`.

    In names of attributes a final _ is removed and others become -. None writes nothing.
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{text}/>")
    return Markup(f"<{name}{text}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """The children without a gap; those that are not markup are escaped."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children)
    )


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
