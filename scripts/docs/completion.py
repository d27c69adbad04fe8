"""completion.txt of `hcctl completion`, from the commands of hcctl, hcrun and the probes."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import click

from hcrun.ctl.commands.docs import _pages, _sections, docs
from hcrun.ctl.main import main
from hcrun.run.help import GROUPS
from hcrun.run.job import OVERLAP_MODES
from hcrun.run.options import ALIASES
from hcrun.variables import KNOWN
from probes.check_all import _command

FILE = Path(__file__).parents[2] / "hcrun/ctl/commands/completion.txt"
# By the name of the parameter, or its metavar.
KINDS = {
    "tiers": "tiers",
    "tags": "tags",
    "tag": "tags",
    "environments": "environments",
    "check": "checks",
    "checks": "checks",
    "like": "checks",
    "CHECK,...": "checks",
    "DUR": "durations",
    "DURATION": "durations",
    "FILE": "files",
    "DIR": "files",
    "PATH": "files",
    "PERIOD": "durations",
    "MODE": "|".join(OVERLAP_MODES),
    "day|week|month|FROM..TO": "day|week|month",
}
OTHER = "text"
ARGUMENT = "."


def kind(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count):
        return ""
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices)) + "|"
    if isinstance(parameter.type, click.Path | click.File):
        return "files"
    metavar = parameter.metavar or ""
    return KINDS.get(metavar) or KINDS.get(parameter.name or "") or OTHER


def of_command(path: str, command: click.Command) -> Iterator[tuple[str, str, str, str]]:
    context = click.Context(command, info_name=path)
    arguments = 0
    for parameter in command.get_params(context):
        if command is docs:
            continue
        if isinstance(parameter, click.Argument):
            yield (
                path,
                f"{ARGUMENT}{'*' if parameter.nargs < 0 else arguments}",
                kind(parameter),
                "",
            )
            arguments += 1
        elif isinstance(parameter, click.Option) and not parameter.hidden:
            about = (parameter.help or "").strip().partition("\n")[0]
            for flag in (*parameter.opts, *parameter.secondary_opts):
                yield path, flag, kind(parameter), about
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield path, name, "", below.get_short_help_str(80)
            yield from of_command(f"{path} {name}", below)


def lines() -> Iterator[str]:
    found = list(of_command("hcctl", main))
    pages = _pages()
    found += [("hcctl docs", page, "", "") for page in pages]
    sections = "".join(f"{name}|" for name in _sections(pages["runbook"]))
    found.append(("hcctl docs runbook", f"{ARGUMENT}0", sections, ""))
    for options in GROUPS.values():
        for option in options:
            value = KINDS.get(option.metavar, OTHER if option.metavar else "")
            found.append(("hcrun", option.flag, value, option.help))
            found += [
                ("hcrun", short, value, option.help)
                for short, flag in ALIASES.items()
                if flag == option.flag
            ]
    found.append(("hcrun", f"{ARGUMENT}0", "checks", ""))
    found += of_command("probe-all", _command())
    for name in sorted(KNOWN):
        probe = importlib.import_module(f"probes.check_{name.replace('-', '_')}").PROBE
        found += of_command(f"probe-{name}", probe.command())
    for row in found:
        yield "\t".join(" ".join(cell.split()) for cell in row) + "\n"


if __name__ == "__main__":
    FILE.write_text("".join(lines()))
