"""docs/probes.md, from the probes themselves: `make docs`.

The first line of a probe's docstring goes into the table, the rest is its section.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from importlib.metadata import distribution
from types import ModuleType
from typing import NamedTuple

from probes.framework.options import Threshold
from probes.framework.probe import Probe

# How often each runs; the others every minute.
EVERY = {
    "all": "*/5 * * * *",
    "minio": "*/5 * * * *",
    "sql": "*/5 * * * *",
    "tenants": "*/5 * * * *",
    "trend": "50 * * * *",
    "vault-key": "40 6 * * *",
}

INTRO = """\
# Probes

Made by `make docs` from the probes themselves.

A probe looks at one service and prints one line; `--json` prints an object. Its exit status is
0 OK, 1 WARNING, 2 CRITICAL (refused, unresolvable and silent are, too), or 3 UNKNOWN: it could not
look. A setting is taken from the flag, else from the environment, else from the env file of hcrun,
`/etc/hcrun/hcrun.env`. A secret is never a flag: `NAME_FILE` names a file with it, or it is the
file `name` in `$CREDENTIALS_DIRECTORY`, or in `NAME`.

A threshold is a warning and a critical
[range](https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT), or `off`: `200MB`
alerts above, `1:` below. It is changed by `--memory-warning 1GB`, or by
`PROBE_REDIS_MEMORY_WARNING=1GB`. All takes 10 s at most, or `HEALTHCHECKS_CHECK_TIMEOUT`.

The crontab lines are for `/etc/cron.d`, with `app` as the user who runs them.
"""


class Script(NamedTuple):
    """One console script. `probe` is None for probe-all."""

    name: str  # "probe-redis"
    module: ModuleType
    probe: Probe | None


def scripts() -> list[Script]:
    """All that are installed, by name; probe-all is the first."""
    found = []
    for entry in distribution("hcrun").entry_points:
        if entry.group == "console_scripts" and entry.name.startswith("probe-"):
            module = importlib.import_module(entry.module)
            short = entry.name.removeprefix("probe-")
            values = vars(module).values()
            probes = (each for each in values if isinstance(each, Probe) and each.name == short)
            found.append(Script(entry.name, module, next(probes, None)))
    return sorted(found, key=lambda script: (script.probe is not None, script.name))


def page() -> str:
    """docs/probes.md."""
    table = (
        "| probe | looks at | by default | variables | crontab |\n| --- | --- | --- | --- | --- |\n"
    )
    for name, module, probe in scripts():
        cells = [f"`{name}`", _about(module), _defaults(probe), _variables(probe), crontab(name)]
        table += _row(cells)
    sections = (
        f"## {name}\n\n{_body(module)}\n"
        for name, module, _ in scripts()
        if module.__name__.endswith(name.replace("probe-", "check_").replace("-", "_"))
    )
    return "\n".join([INTRO, table, *sections])


def crontab(name: str) -> str:
    short = name.removeprefix("probe-")
    return f"`{EVERY.get(short, '* * * * *')} app hcrun {short} -- {name}`"


def variables(probe: Probe) -> list[str]:
    """Those with secrets, which only its help names, and those of its options."""
    named = re.findall(
        r"(?<![$\w])(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]|PG[A-Z]{3,})", probe.summary
    )
    found = [probe.url.variable] if probe.url else []
    found += [option.envvar for option in probe.options if isinstance(option.envvar, str)]
    found += [name.removesuffix("_FILE") for name in named]
    return list(dict.fromkeys(found))


def _about(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]


def _defaults(probe: Probe | None) -> str:
    thresholds: Sequence[Threshold] = probe.thresholds if probe else ()
    return "; ".join(
        f"{each.name.replace('_', ' ')} "
        + (f"{each.warning}, {each.critical}" if each.warning != each.critical else each.warning)
        for each in thresholds
    )


def _variables(probe: Probe | None) -> str:
    return ", ".join(f"`{name}`" for name in variables(probe)) if probe else "those of all probes"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _body(module: ModuleType) -> str:
    """The docstring but for its first line, with the empty lines that Markdown wants."""
    return "\n".join(_spaced((module.__doc__ or "").partition("\n")[2].strip().split("\n")))


def _spaced(lines: Sequence[str]) -> Iterator[str]:
    before = ""
    for line in lines:
        was_item, is_item = (text.startswith(("- ", "  ")) for text in (before, line))
        if before and line and was_item != is_item:
            yield ""
        yield line
        before = line


def main() -> None:
    """Write it, in the current directory."""
    with open("docs/probes.md", "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
