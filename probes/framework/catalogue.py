"""The thresholds that the checks of the catalogue give to a probe, for probe-all.

Checks of one probe may share its thresholds: `off` in one of them leaves it to the others; of two
values the last one in the catalogue applies. A check that names another service, as with --host,
says nothing of the one that probe-all checks.
"""

import os
from collections.abc import Mapping, Sequence

import click

# Imported by probe-all alone: a probe itself gets its thresholds by options.
from hcrun.catalog import SHIPPED, default_path, load
from hcrun.settings import Settings
from probes.framework.probe import Probe

_ADDRESS = {"host", "port", "database", "socket"}  # options that name a service


def thresholds(
    path: str, settings: Settings, probes: Mapping[str, Probe], variables: Mapping[str, set[str]]
) -> dict[str, list[str]]:
    """Options by probe, from the catalogue at `path`, by default this host's.

    `variables` are those of each probe that hold the address of its service. Raises HcrunError.
    """
    path = path or default_path()
    found: dict[str, dict[str, str]] = {}
    for check in load(path, settings, obeyed=True).checks if path != SHIPPED else ():
        name = os.path.basename(check.command[0]).removeprefix("probe-") if check.command else ""
        if name in probes:
            given = _given(probes[name], check.command[1:], variables[name])
            of_probe = found.setdefault(name, {})
            of_probe |= {flag: value for flag, value in given.items() if value != "off"}
            of_probe |= {flag: "off" for flag in given if flag not in of_probe}
    return {
        name: [f"{flag}={value}" for flag, value in given.items()] for name, given in found.items()
    }


def _given(probe: Probe, arguments: Sequence[str], variables: set[str]) -> dict[str, str]:
    """The thresholds on a command line, by option."""
    command = probe.command()
    parser = command.make_parser(click.Context(command))
    try:
        values, _, _ = parser.parse_args(list(arguments))
    except click.UsageError:  # hcctl check reports it
        return {}
    addresses = {
        each.name
        for each in probe.table.options
        if each.envvar in variables or each.name in _ADDRESS
    }
    if addresses & set(values):
        return {}
    limits = [option for item in probe.table.thresholds for option in item.options(probe.name)]
    return {limit.opts[0]: str(values[limit.name]) for limit in limits if limit.name in values}
