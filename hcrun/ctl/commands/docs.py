"""`hcctl docs`: the documentation that comes with hcrun."""

import os
import re
from pathlib import Path

import click

import hcrun
from hcrun.catalog.toml_source import suggestion
from hcrun.errors import UsageError


@click.command()
@click.argument("page", required=False)
@click.argument("section", nargs=-1)
def docs(page: str | None, section: tuple[str, ...]) -> None:
    """Show a page of the documentation or one of its sections, or list all pages.

    On a terminal, it opens in a pager ($PAGER, usually less). Otherwise it is printed.

    \b
    Examples:
      hcctl docs                 list the pages
      hcctl docs first-alert     read docs/first-alert.md
      hcctl docs runbook redis   what to do when Redis is down
      hcctl docs sync | grep -i channel
    """
    pages = _pages()
    if page is None:
        width = max(map(len, pages))
        for name, text in pages.items():
            click.echo(f"{name:{width}}  {text.partition('# ')[2].partition(chr(10))[0]}")
        return
    name = page.lower().removeprefix("docs/").removesuffix(".md")
    text = _one(pages, name, f"no page named {page!r}")
    if section:
        key = _key(" ".join(section))
        text = _one(_sections(text), key, f"no section {key!r} in the page {name}")
    os.environ.setdefault("LESS", "-FRX")  # a text that fits stays on the screen
    click.echo_via_pager(text.removesuffix("\n"))  # which adds one


def _one(texts: dict[str, str], name: str, problem: str) -> str:
    if name not in texts:
        hint = suggestion(name, texts) or f"it has {', '.join(texts) or 'no sections'}"
        raise UsageError(problem, hint=hint)
    return texts[name]


def _sections(page: str) -> dict[str, str]:
    """Returns the sections by the key of their heading, each with those below it."""
    code = re.compile("^```.*?^```", re.MULTILINE | re.DOTALL)  # may have comments
    prose = code.sub(lambda block: "-" * len(block[0]), page)
    headings = [*re.finditer("^(##+) (.+)", prose, re.MULTILINE)]
    found: dict[str, str] = {}
    for number, heading in enumerate(headings):
        later = (each for each in headings[number + 1 :] if len(each[1]) <= len(heading[1]))
        end = next((each.start() for each in later), len(page))
        found.setdefault(_key(heading[2]), page[heading.start() : end].rstrip() + "\n")
    return found


def _key(heading: str) -> str:
    """`Delayed results` is delayed-results; `probe-redis` and `hcctl status` are redis, status."""
    words = re.sub("[^a-z0-9]+", "-", heading.lower()).strip("-")
    return re.sub("^(probe|hcctl)-", "", words)


def _pages() -> dict[str, str]:
    """Returns the pages by name, as README lists them: of the package, or of a checkout."""
    package = Path(hcrun.__file__).parent
    found = [*package.glob("docs/*.md")] or [
        *package.parent.glob("docs/*.md"),
        *(package.parent / name for name in ("README.md", "CHANGELOG.md")),
    ]
    texts = {path.stem.lower(): path.read_text(encoding="utf-8") for path in sorted(found)}
    listed = re.findall(r"^\| \[.*\]\(docs/(\S+)\.md\)", texts["readme"], re.MULTILINE)
    return {name: texts[name] for name in dict.fromkeys(["readme", *listed, *texts])}
