"""`hcctl docs`: the documentation that comes with hcrun."""

from pathlib import Path

import click

import hcrun
from hcrun.errors import UsageError


@click.command()
@click.argument("page", required=False)
def docs(page: str | None) -> None:
    """Show a page of the documentation, or list all pages.

    On a terminal, the page opens in a pager ($PAGER, usually less). Otherwise it is printed.

    \b
    Examples:
      hcctl docs                 list the pages
      hcctl docs probes          read docs/probes.md
      hcctl docs sync | grep -i channel
    """
    pages = _pages()
    if page is None:
        width = max(map(len, pages))
        for name, path in pages.items():
            heading = path.read_text(encoding="utf-8").partition("# ")[2]
            click.echo(f"{name:{width}}  {heading.partition(chr(10))[0]}")
        return
    name = page.lower().removeprefix("docs/").removesuffix(".md")
    if name not in pages:
        raise UsageError(f"no page named {page!r}", hint=f"choose one of {', '.join(pages)}")
    text = pages[name].read_text(encoding="utf-8")
    click.echo_via_pager(text.removesuffix("\n"))  # which adds one


def _pages() -> dict[str, Path]:
    """Return the pages by name, README first: from the installed package, or from a checkout."""
    package = Path(hcrun.__file__).parent
    installed = package / "docs"
    found = [*installed.glob("*.md")]
    if not found:
        found = [*package.parent.glob("docs/*.md")]
        found += [package.parent / name for name in ("README.md", "CHANGELOG.md")]
    found.sort(key=lambda path: (path.stem != "README", path.stem.lower()))
    return {path.stem.lower(): path for path in found}
