"""Writes docs/probes.md: `make docs`.

The docstring of a probe goes into the table. Its section is probes/probe-NAME.md beside this file,
and then examples/probe-NAME.md.
"""

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from probes.check_all import KNOWN
from probes.framework.options import Threshold
from probes.framework.probe import Probe

# The schedule of each; the others run every minute.
EVERY = {
    "all": "*/5 * * * *",
    "integrity": "*/5 * * * *",
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
`HEALTHCHECKS_CHECK_TIMEOUT`. If a name has several addresses, it uses the one that accepts a
connection first, so that one dead address is no alarm.

The crontab lines are for `/etc/cron.d`. They run as the user `hcrun`, with hcrun in `/opt/hcrun`:
cron's own PATH does not have it. Add `--create` once, if the check is not on the server yet.
[runbook.md](runbook.md) says what to do when a probe alerts. `make docs` writes this page.
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
        cells = [
            f"`{name}`",
            str(module.__doc__),
            _defaults(probe),
            _variables(probe),
            crontab(name),
        ]
        table += f"| {' | '.join(cells)} |\n"
        sections.append(f"## {name}\n\n{_part('probes', name)}")
        sections.append(f"Examples.\n\n{examples(name)}")
    return "\n".join([INTRO, table, *sections])


def examples(name: str) -> str:
    """The complete examples for one probe: the usual, the managed service, the cluster."""
    return _part("examples", name)


def _part(kind: str, name: str) -> str:
    return (Path(__file__).parent / kind / f"{name}.md").read_text(encoding="utf-8")


def crontab(name: str) -> str:
    short = name.removeprefix("probe-")
    user = "root" if short == "integrity" else "hcrun"
    return f"`{EVERY.get(short, '* * * * *')} {user} /opt/hcrun/bin/hcrun {short} -- {name}`"


def variables(probe: Probe) -> list[str]:
    """The variables of its options, and those with secrets, which its help names."""
    named = re.findall(
        r"(?<![$\w])(?:[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]|PG[A-Z]{3,})", probe.table.summary
    )
    found = [probe.url.variable] if probe.url else []
    found += [option.envvar for option in probe.table.options if isinstance(option.envvar, str)]
    found += [name.removesuffix("_FILE") for name in named]
    return list(dict.fromkeys(found))


def _defaults(probe: Probe | None) -> str:
    thresholds: Sequence[Threshold] = probe.table.thresholds if probe else ()
    return "; ".join(
        f"{each.name.replace('_', ' ')} "
        + (f"{each.warning}, {each.critical}" if each.warning != each.critical else each.warning)
        for each in thresholds
    )


def _variables(probe: Probe | None) -> str:
    return ", ".join(f"`{name}`" for name in variables(probe)) if probe else "those of all probes"


def main() -> None:
    """Write the page in the current directory."""
    with open("docs/probes.md", "w", encoding="utf-8") as file:
        file.write(page())


if __name__ == "__main__":
    main()
