"""Where `status` and `report` look: the server, this host's journal, the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hcrun.api.models import RemoteCheck
from hcrun.catalog import SHIPPED, Catalog, load
from hcrun.errors import JournalError
from hcrun.journal.existing import open_existing
from hcrun.journal.journal import Journal
from hcrun.reports.checks import MonitoredCheck, join, pinged_as
from hcrun.settings import Settings

if TYPE_CHECKING:
    from hcrun.api.client import HealthchecksClient


@dataclass(frozen=True)
class Sources:
    """What there is to look at; `no_server` and `no_journal` say why one of them is None."""

    settings: Settings
    catalog: Catalog
    client: HealthchecksClient | None
    journal: Journal | None
    no_server: str
    no_journal: str
    local: bool  # only what runs on this host is asked for

    def subjects(
        self, remotes: Iterable[RemoteCheck] | None, recorded: Iterable[str]
    ) -> list[MonitoredCheck]:
        """`remotes` is None without an answer of the server.

        A check of this host's own catalogue that neither server nor journal knows is one of them
        (it never ran), unless it may run on another host, of which nobody was asked.
        """
        names = set(recorded)
        asked = remotes is not None or (self.client is None and not self.local)
        expected = asked and self.catalog.path != SHIPPED
        aliases = pinged_as(names, self.settings)
        return join(self.catalog, remotes, names, aliases, expected=expected)


def open_sources(catalog: str, local: bool, timeout: float = 10.0) -> Sources:
    """`timeout`, in seconds, is for an answer of the server.

    Raises HcrunError when there is neither a server nor a journal, or a setting is wrong.
    """
    settings = Settings.load()
    no_server = "--local was given" if local else _no_server(settings)
    client = None if no_server else _client(settings, timeout)
    try:
        journal, no_journal = open_existing(), ""
    except JournalError as error:
        if client is None:
            raise
        journal, no_journal = None, f"{error.where}: {error.what}"
    return Sources(settings, load(catalog, settings), client, journal, no_server, no_journal, local)


def _client(settings: Settings, timeout: float) -> HealthchecksClient:
    from hcrun.api.client import (
        HealthchecksClient,  # `requests` is a third of what a local look costs
    )

    return HealthchecksClient.from_settings(settings, read_only=True, timeout=timeout)


def _no_server(settings: Settings) -> str:
    """Why there is no server to be asked; "" when there is one. Raises SettingsError."""
    if not settings.enabled():
        return "HEALTHCHECKS_ENABLED is false"
    names = ("HEALTHCHECKS_READ_KEY", "HEALTHCHECKS_API_KEY")
    return "" if any(map(settings.secret, names)) else f"neither {' nor '.join(names)} is set"
