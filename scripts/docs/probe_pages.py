"""Writes docs/probes.md from the docstrings of the probes: `make docs`.

The first line of a module's docstring goes into the table, the rest becomes its section.
"""

import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from probes.check_all import KNOWN
from probes.framework.options import Threshold
from probes.framework.probe import Probe

# The schedule of each; the others run every minute.
EVERY = {
    "all": "*/5 * * * *",
    "minio": "*/5 * * * *",
    "prometheus": "*/5 * * * *",
    "sql": "*/5 * * * *",
    "tenants": "*/5 * * * *",
    "trend": "50 * * * *",
    "vault-key": "40 6 * * *",
}

INTRO = """\
# Probes

A probe checks one service and prints one line, or with `--json` one object. Its exit status is
0 OK, 1 WARNING, 2 CRITICAL (also when the service refuses the connection, does not resolve or does
not answer in time) or 3 UNKNOWN (the probe could not check). A setting comes from the option, else
from the environment, else from the env file of hcrun, `/etc/hcrun/hcrun.env`. A secret is never an
option: set `NAME_FILE` to the path of a file with the secret, or store it as the file `name` in
`$CREDENTIALS_DIRECTORY`, or set `NAME`.

Each threshold has a warning and a critical
[range](https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT), or `off`: `200MB`
alerts above, `1:` alerts below. Change it with an option, `--memory-warning 1GB`, or with a
variable, `PROBE_REDIS_MEMORY_WARNING=1GB`. A probe takes at most 10 s, or
`HEALTHCHECKS_CHECK_TIMEOUT`.

The crontab lines are for `/etc/cron.d`; they run as the user `app`. `make docs` writes this page.
"""


class Script(NamedTuple):
    """One console script. `probe` is None for probe-all."""

    name: str  # "probe-redis"
    module: ModuleType
    probe: Probe | None


def scripts() -> list[Script]:
    """All scripts by name; probe-all is the first."""
    found = []
    for name in ("all", *sorted(KNOWN)):
        module = importlib.import_module(f"probes.check_{name.replace('-', '_')}")
        found.append(Script(f"probe-{name}", module, getattr(module, "PROBE", None)))
    return found


def page() -> str:
    """The text of docs/probes.md."""
    table = (
        "| probe | checks | thresholds | variables | crontab |\n| --- | --- | --- | --- | --- |\n"
    )
    sections = []
    for name, module, probe in scripts():
        about, _, body = (module.__doc__ or "").partition("\n")
        cells = [f"`{name}`", about, _defaults(probe), _variables(probe), crontab(name)]
        table += f"| {' | '.join(cells)} |\n"
        section = "\n".join(_spaced(body.strip().split("\n")))
        sections.append(f"## {name}\n\n{section}\n")
        if example := examples(name):
            sections.append(f"Examples.\n\n{example}")
    return "\n".join([INTRO, table, *sections])


def examples(name: str) -> str:
    """The complete examples for one probe: the usual, the managed service, the cluster."""
    path = Path(__file__).parent / "examples" / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def crontab(name: str) -> str:
    short = name.removeprefix("probe-")
    return f"`{EVERY.get(short, '* * * * *')} app hcrun {short} -- {name}`"


def variables(probe: Probe) -> list[str]:
    """The variables of its options, and those with secrets, which its help names."""
    named = re.findall(
        r"(?<![$\w])(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]|PG[A-Z]{3,})", probe.summary
    )
    found = [probe.url.variable] if probe.url else []
    found += [option.envvar for option in probe.options if isinstance(option.envvar, str)]
    found += [name.removesuffix("_FILE") for name in named]
    return list(dict.fromkeys(found))


def _defaults(probe: Probe | None) -> str:
    thresholds: Sequence[Threshold] = probe.thresholds if probe else ()
    return "; ".join(
        f"{each.name.replace('_', ' ')} "
        + (f"{each.warning}, {each.critical}" if each.warning != each.critical else each.warning)
        for each in thresholds
    )


def _variables(probe: Probe | None) -> str:
    return ", ".join(f"`{name}`" for name in variables(probe)) if probe else "those of all probes"


def _spaced(lines: Sequence[str]) -> Iterator[str]:
    """The lines, with the empty lines around lists that Markdown needs."""
    before = ""
    for line in lines:
        was_item, is_item = (text.startswith(("- ", "  ")) for text in (before, line))
        if before and line and was_item != is_item:
            yield ""
        yield line
        before = line


def main() -> None:
    """Write the page in the current directory."""
    with open("docs/probes.md", "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
