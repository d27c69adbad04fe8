"""docs/hcctl.md and docs/hcctl.1, from the commands' own help: `make docs`."""

from collections.abc import Iterator
from pathlib import Path

import click

from hcrun import __version__
from hcrun.ctl.main import COMMANDS, main
from scripts.docs.man_page import safe

DOCS = Path(__file__).parents[2] / "docs"


def commands() -> Iterator[tuple[str, str, str]]:
    """For each command, groups before their own: its path, what it is in a line, its help."""
    yield from _below(main, click.Context(main, info_name="hcctl", max_content_width=80))


def _below(group: click.Group, context: click.Context) -> Iterator[tuple[str, str, str]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        own = click.Context(command, parent=context, info_name=name)
        short = COMMANDS[name][1] if group is main else command.get_short_help_str(200)
        yield own.command_path, short, command.get_help(own)
        if isinstance(command, click.Group):
            yield from _below(command, own)


def markdown() -> str:
    """The reference, a section for each command."""
    rows = list(commands())
    parts = ["# hcctl", main.help or "", "| command | what it does |\n| --- | --- |"]
    parts[-1] += "".join(f"\n| [`{path}`](#{_anchor(path)}) | {short} |" for path, short, _ in rows)
    for path, _, text in rows:
        parts.append(f"## {path}\n\n```\n$ {path} --help\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def _anchor(heading: str) -> str:
    return heading.replace(" ", "-")


def man() -> str:
    """The man page, in man(7) macros."""
    parts = [
        f'.TH HCCTL 1 "" "hcrun {__version__}"',
        ".SH NAME\nhcctl \\- look after the runs of hcrun and the checks of Healthchecks",
        ".SH SYNOPSIS\n.B hcctl\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGS\\fR]",
        f".SH DESCRIPTION\n{safe(main.help or '')}",
        ".SH COMMANDS",
    ]
    for path, _, text in commands():
        usage, _, rest = text.removeprefix("Usage: ").partition("\n")
        parts.append(f".SS {safe(path)}\n.B {safe(usage)}\n.PP\n.nf\n{safe(rest.strip())}\n.fi")
    parts.append(".SH SEE ALSO\n.BR hcrun (1)")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (DOCS / "hcctl.md").write_text(markdown())
    (DOCS / "hcctl.1").write_text(man())
