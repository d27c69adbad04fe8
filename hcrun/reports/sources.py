"""Where `status` and `report` get their data: the server, this host's journal, the catalogue."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import SHIPPED, Catalog, load
from hcrun.errors import JournalError
from hcrun.journal.journal import Journal
from hcrun.journal.renaming import rename
from hcrun.reports.checks import MonitoredCheck, aliases_of, join
from hcrun.schedulers.journals import open_all
from hcrun.settings import Settings

if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient

T = TypeVar("T")


@dataclass(frozen=True)
class Sources:
    """The available sources; `no_server` and `no_journal` say why there is none."""

    settings: Settings
    catalog: Catalog
    client: "HealthchecksClient | None"
    journals: list[Journal]  # of this user, and for root of all whose jobs run here
    no_server: str
    no_journal: str
    local: bool  # report only what runs on this host
    whose: str = "this host"  # whose runs are in the journals
    problems: list[str] = field(default_factory=list)  # of journals that cannot be read

    @property
    def journal(self) -> str:
        """The paths of the journals."""
        return ", ".join(journal.path for journal in self.journals)

    def read(self, reader: Callable[[Journal], T]) -> list[T]:
        """What `reader` finds in each journal. Raises JournalError if none can be read."""
        found: list[T] = []
        for journal in tuple(self.journals):
            try:
                found.append(reader(journal))
            except JournalError as error:
                if len(self.journals) == 1:
                    raise
                self.journals.remove(journal)
                self.problems.append(str(error))
        return found

    def checks(
        self, remotes: Iterable[RemoteCheck] | None, recorded: Iterable[str]
    ) -> list[MonitoredCheck]:
        """`remotes` is None if the server did not answer; `recorded` are names in the journal.

        A check of this host's own catalogue that neither server nor journal knows is included as
        one that never ran, unless it may run on another host, which was not asked.
        """
        names = set(recorded)
        asked = remotes is not None or (self.client is None and not self.local)
        expected = asked and self.catalog.path != SHIPPED
        aliases = aliases_of(names, self.settings)
        return join(self.catalog.checks, remotes, names, aliases, expected=expected)


def open_sources(
    catalog: str, local: bool, timeout: float = 10.0, fleet: Journal | None = None
) -> Sources:
    """`timeout`, in seconds, is for an answer of the server; `fleet` replaces the journals.

    Raises HcrunError if there is neither a server nor a journal, or a setting is wrong.
    """
    settings = Settings.load()
    no_server = "--local was given" if local else _no_server(settings)
    client = None
    if not no_server:
        # Imported here: `requests` is a third of the time of `hcctl status --local`.
        from hcrun.api.client import HealthchecksClient

        client = HealthchecksClient(read_only=True, timeout=timeout, _settings=settings)
        client.connect()
    try:
        journals, no_journal = [fleet] if fleet else open_all(), ""
    except JournalError as error:
        if client is None:
            raise
        journals, no_journal = [], f"{error.where}: {error.what}"
    loaded = load(catalog, settings)
    for journal in journals:
        rename(journal, loaded.renamed, settings)
    whose = "the fleet" if fleet else "this host"
    return Sources(settings, loaded, client, journals, no_server, no_journal, local, whose)


def _no_server(settings: Settings) -> str:
    """Why the server is not asked; "" if it is. Raises SettingsError."""
    if not settings.enabled():
        return "HEALTHCHECKS_ENABLED is false"
    if settings.secret("HEALTHCHECKS_READ_KEY") or settings.secret("HEALTHCHECKS_API_KEY"):
        return ""
    return "neither HEALTHCHECKS_READ_KEY nor HEALTHCHECKS_API_KEY is set"
