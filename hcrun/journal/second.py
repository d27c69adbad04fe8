"""The second server, HEALTHCHECKS_PING_URL_2: it gets each result, too, from a journal of its own.

So an outage of one server costs the other nothing: neither a ping, nor time, nor its backlog.
"""

from hcrun.environment import exists
from hcrun.errors import SettingsError
from hcrun.journal.database import FILE
from hcrun.journal.journal import Journal
from hcrun.paths import directory_of
from hcrun.ping.target import Target, is_uuid, label, resolve
from hcrun.settings import CHECK_PREFIX, Settings

URL, KEY = "HEALTHCHECKS_PING_URL_2", "HEALTHCHECKS_PING_KEY_2"
_INSTEAD = {"HEALTHCHECKS_PING_URL": URL, "HEALTHCHECKS_PING_KEY": KEY}
_OF_THE_FIRST = (CHECK_PREFIX, "HEALTHCHECKS_API_KEY", "HEALTHCHECKS_READ_KEY")
_DIRECTORY = "second"  # in that of the journal
BY_SLUG = "it knows checks by slug only; name the check instead of its UUID or ping URL"


class SecondSettings(Settings):
    """The settings as they are for the second server, which knows a check by its slug alone."""

    def __init__(self, first: Settings) -> None:
        super().__init__(first.environ, first.from_file, first.path)
        self.in_code = first.in_code
        self.problems = first.problems

    def get(self, name: str, default: str = "") -> str:
        return super().get(_INSTEAD.get(name, name), default)

    def secret(self, name: str) -> str:
        return "" if name.startswith(_OF_THE_FIRST) else super().secret(_INSTEAD.get(name, name))


def second_target(check: str, settings: SecondSettings, create: bool = False) -> Target:
    """Where the second server is pinged. If it cannot be, the target's `why` says so."""
    if "://" in check or is_uuid(check.rstrip("/")):
        return Target(label(check), why=BY_SLUG)
    try:
        key = settings.secret("HEALTHCHECKS_PING_KEY")
    except SettingsError as error:
        return Target(label(check), why=str(error))
    if not key:
        return Target(label(check), why=f"set {KEY} to the ping key of its project")
    target = resolve(check, settings, create)
    target.why = named(target.why)
    return target


def named(text: str) -> str:
    """A message about the first server, as one about the second."""
    for name, own in _INSTEAD.items():
        text = text.replace(name, own)
    return text


def directory_of_second(settings: Settings) -> str:
    """Where the journal of the second server is. Raises JournalError."""
    return f"{directory_of(settings)}/{_DIRECTORY}"


def has_second(settings: Settings) -> bool:
    """Whether this user has a journal for the second server. Raises JournalError."""
    return exists(f"{directory_of_second(settings)}/{FILE}")


def open_second(settings: Settings) -> Journal:
    """That journal. Raises JournalError."""
    return Journal(directory_of_second(settings))
