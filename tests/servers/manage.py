"""A `manage.py shell -c` with as much of the server's models as making channels takes.

Its channels are in the JSON file $CHANNELS: a list of objects. Run by a test as a command.
"""

import json
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

PATH = os.environ["CHANNELS"]
EMPTY = {"disabled": False, "email_verified": False, "last_error": ""}


def save(rows: list[SimpleNamespace]) -> None:
    with open(PATH, "w", encoding="utf-8") as file:
        json.dump([{k: v for k, v in vars(row).items() if k != "save"} for row in rows], file)


class Channels:
    """Channel.objects"""

    def __init__(self) -> None:
        with open(PATH, encoding="utf-8") as file:
            self.rows = [self.row(**said) for said in json.load(file)]

    def row(self, **said: Any) -> SimpleNamespace:
        return SimpleNamespace(**EMPTY | said, save=lambda: save(self.rows))

    def filter(self, **said: Any) -> list[SimpleNamespace]:
        return [r for r in self.rows if all(getattr(r, k) == v for k, v in said.items())]

    def create(self, **said: Any) -> None:
        self.rows.append(self.row(**said))
        save(self.rows)


class Projects:
    """Project.objects"""

    def for_api_key(self, key: str, accept_rw: bool, accept_ro: bool) -> str | None:
        assert (accept_rw, accept_ro) == (True, False)
        return "the project" if key == os.environ["RIGHT_KEY"] else None


def module(name: str, **members: object) -> None:
    made = ModuleType(name)
    vars(made).update(members)
    sys.modules[name] = made


module("hc.accounts.models", Project=SimpleNamespace(objects=Projects()))
module("hc.api.models", Channel=SimpleNamespace(objects=Channels()))
assert sys.argv[1:5] == ["shell", "-v", "0", "-c"]
exec(sys.argv[5], {})  # noqa: S102 - as manage.py does
