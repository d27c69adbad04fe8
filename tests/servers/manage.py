"""A `manage.py shell -c` with as much of the server's models as the work on channels takes.

Its channels are in the JSON file $CHANNELS: a list of objects. `answers` of one is what notify()
returns for DOWN and UP; "!text" is raised. $SETTINGS are those of the server, and $UNSENT is set if
alerts have waited for a minute. Run by a test as a command.
"""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any, Self

PATH = os.environ["CHANNELS"]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Rows(list[Any]):
    """A QuerySet."""

    def filter(self, **said: Any) -> Self:
        def fits(row: Any) -> bool:
            return all(
                getattr(row, key.removesuffix("__startswith")).startswith(value)
                if key.endswith("__startswith")
                else getattr(row, key) == value
                for key, value in said.items()
            )

        return type(self)(row for row in self if fits(row))

    def exclude(self, *, error: str, created__gt: datetime) -> Self:
        return type(self)(r for r in self if r.error != error or r.created <= created__gt)

    def order_by(self, _: str) -> Self:
        return self

    def last(self) -> Any:
        return self[-1] if self else None

    def exists(self) -> bool:
        return bool(self)


class Channel:
    objects = Rows()

    name: str

    def __init__(self, **said: Any) -> None:
        self.code = f"code-of-{said['name']}"
        self.disabled, self.email_verified, self.last_error = False, False, ""
        self.answers: list[str] = ["", ""]
        self.notes: list[list[Any]] = []  # of notifications, the error and the age in seconds
        self.sent: list[str] = []
        vars(self).update(said)

    def __str__(self) -> str:
        return self.name

    @property
    def notification_set(self) -> Rows:
        now = datetime.now(UTC)
        return Rows(
            SimpleNamespace(error=error, created=now - timedelta(seconds=age) if age else MOMENT)
            for error, age in self.notes
        )

    def save(self) -> None:
        if self not in Channel.objects:
            Channel.objects.append(self)
        write()

    def delete(self) -> None:
        Channel.objects.remove(self)
        write()

    def notify(self, flip: Any, is_test: bool) -> str:
        assert is_test
        assert flip.new_status == flip.owner.status != flip.old_status
        self.sent.append(f"{flip.new_status} {flip.owner.name}")
        write()
        answer: str = self.answers[flip.new_status == "up"]
        if answer.startswith("!"):
            raise ValueError(answer[1:])
        return answer


def write() -> None:
    with open(PATH, "w", encoding="utf-8") as file:
        json.dump([vars(row) for row in Channel.objects], file)


class Flip(SimpleNamespace):
    """`objects` are those without a notification for a minute."""

    class objects:  # noqa: N801 - Django's name
        @staticmethod
        def filter(**said: Any) -> Rows:
            assert set(said) == {"processed", "created__lt"}
            return Rows(["a flip"] if "UNSENT" in os.environ else [])


class Profile(SimpleNamespace):
    def save(self) -> None:
        with open(f"{PATH}.reminders", "w", encoding="utf-8") as file:
            file.write(str(self.nag_period.total_seconds()))

    def update_next_nag_date(self) -> None:
        pass


class Profiles:
    def for_user(self, user: str) -> Profile:
        assert user == OWNER
        try:
            with open(f"{PATH}.reminders", encoding="utf-8") as file:
                return Profile(nag_period=timedelta(seconds=float(file.read())))
        except FileNotFoundError:
            return Profile(nag_period=timedelta())


class Projects:
    """Project.objects"""

    def for_api_key(self, key: str, accept_rw: bool, accept_ro: bool) -> Any:
        assert (accept_rw, accept_ro) == (True, False)
        return Project() if key == os.environ["RIGHT_KEY"] else None


class Project(str):
    owner = OWNER = SimpleNamespace(email="owner@example.com")

    def __new__(cls) -> Self:
        return super().__new__(cls, "the project")


OWNER = Project.OWNER


def module(name: str, **members: object) -> None:
    made = ModuleType(name)
    vars(made).update(members)
    sys.modules[name] = made


with open(PATH, encoding="utf-8") as kept:
    Channel.objects.extend(Channel(**said) for said in json.load(kept))
module(
    "hc.accounts.models",
    Project=SimpleNamespace(objects=Projects()),
    Profile=SimpleNamespace(objects=Profiles()),
)
module("hc.api.models", Channel=Channel, Check=SimpleNamespace, Flip=Flip)
SETTINGS = {"EMAIL_HOST": "mail", "TWILIO_ACCOUNT": None, "TWILIO_AUTH": None, "TWILIO_FROM": None}
SETTINGS |= json.loads(os.environ.get("SETTINGS", "{}"))
module("django.conf", settings=SimpleNamespace(**SETTINGS))
assert sys.argv[1:5] == ["shell", "-v", "0", "-c"]
exec(sys.argv[5], {"__name__": "shell"})  # noqa: S102 - as manage.py does
