"""All variables, for the help, the documentation and the doctor; a run does not need them."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hcrun.settings import Settings


class Variable(NamedTuple):
    name: str
    text: str
    default: str = ""
    secret: bool = False
    run: bool = False


def load() -> list[Variable]:
    """The variables of variables.toml, which says what the fields mean."""
    return [Variable(name, **fields) for name, fields in _read("variables.toml").items()]


class Known(NamedTuple):
    variables: tuple[str, ...]  # any of them configures the probe
    libraries: tuple[str, ...] = ()  # that its check imports


def _read(name: str) -> dict[str, dict[str, Any]]:
    with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
        return tomllib.load(file)


KNOWN: Mapping[str, Known] = {
    name: Known(**{key: tuple(texts) for key, texts in fields.items()})
    for name, fields in _read("probes.toml").items()
}


def is_configured(settings: Settings, variables: Sequence[str]) -> bool:
    """True if one of the variables is set, itself or by reference."""
    return any(settings.locate_secret(variable)[1] for variable in variables)
