"""Delivery of results: the end ping of a run, and what the later delivery shares with it."""

from __future__ import annotations

import posix

from hcrun.errors import JournalError
from hcrun.ping import client
from hcrun.ping.client import LIMIT
from hcrun.redact import Redactor, secret_values
from hcrun.results import PENDING, REJECTED, SENT
from hcrun.text import checksum

TYPE_CHECKING = False
if TYPE_CHECKING:  # a Python without sqlite3 pings as well
    from collections.abc import Callable, Iterable

    from hcrun.journal.journal import Journal
    from hcrun.journal.run import Run
    from hcrun.ping.http import Reply
    from hcrun.ping.target import Target
    from hcrun.settings import Settings

ONE_TRY = client.Policy(1, 0.0)
BACKLOG = 1.0  # seconds for the results of other runs, after one of our own was accepted
ASKING = 2.0  # seconds for the server to say whether it knows newer ones


class Report:
    """One run on its way to the journal and to the server."""

    target: Target
    row = 0  # in the journal; 0: not there
    recorded = False  # whether the journal has its end
    _before = ""  # which file had been set aside by then
    created = False  # a ping of this run has created the check
    rid = ""  # of its end ping; "" unless the server accepted its start ping
    reply: Reply | None = None  # to its end ping
    action = ""  # of its end ping, instead of the run's own

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def server(self) -> str:
        target = self.target
        return target.server or (server_of(target.url) if target.url else "")

    @property
    def identity(self) -> int:
        """The number of its check in the journal: the same for all names of one ping URL."""
        target = self.target
        return checksum(target.label if target.server else target.url or target.label)

    @property
    def delivery(self) -> str:
        """The state of its delivery: PENDING, SENT or REJECTED."""
        return delivery_state(self.reply)

    def begin(self, journal: Journal, pid: int = 0) -> None:
        """Record that the run of this process, or of `pid`, is in progress. Raises JournalError."""
        given = self.target.given
        address = f"{given} {self.target.url}" if given else ""
        pid = pid or posix.getpid()
        self.row = journal.begin(self.run, pid, self.identity, self.server, address)

    def finish(self, journal: Journal) -> None:
        """Record the end of the run, unless the journal, which may be a new file, has it."""
        if self.recorded and self._before == journal.set_aside:
            return
        try:
            known = journal.finish(self.row, self.run)
        except JournalError:
            if not journal.set_aside:
                raise
            known = False
        if not known:
            self.begin(journal)
            journal.finish(self.row, self.run)
        self.recorded, self._before = True, journal.set_aside

    def send_start(
        self, policy: client.Policy, deadline: float, given_up: Callable[[], bool] = lambda: False
    ) -> None:
        """Send the start ping until `deadline` (monotonic)."""
        from hcrun.journal.message import opening  # not for a run without a server

        url = self.target.address("/start", self.run.run_id)
        reply = client.send(url, opening(self.run), policy, deadline, given_up)
        self._learn(reply)
        if client.accepted(reply):
            self.rid = self.run.run_id

    def send_end(
        self,
        journal: Journal | None,
        policy: client.Policy,
        deadline: float,
        given_up: Callable[[], bool],
        note: str = "",
    ) -> Reply:
        """Send the result until `deadline` (monotonic); `note` is for its text."""
        from hcrun.journal.message import compose

        limit = LIMIT
        try:
            if journal:
                limit = journal.body_limit(self.server)
                # Another process may be sending an older result of this check as a normal ping.
                # It looks at the journal first, so this result stays the check's last.
                older = journal.has_others_pending(self.identity)
                if older and journal.lock_delivery(client.FIRST_TRY / 2):
                    journal.unlock_delivery()
        except Exception:  # whatever is wrong with the journal, it costs no ping
            pass
        text = compose(self.run, self.target.body_limit or limit, note)
        url = self.target.address(self.action or self.run.action, self.rid)
        reply = client.send(url, text, policy, deadline, given_up)
        self._learn(reply)
        return reply

    def _learn(self, reply: Reply) -> None:
        self.created = self.created or (client.accepted(reply) and reply.status == 201)
        limit = client.body_limit(reply)
        if limit is not None and client.accepted(reply):
            self.target.body_limit = limit

    def record_delivery(self, journal: Journal) -> None:
        """Record what the server answered to the end ping. Raises JournalError."""
        if self.delivery != PENDING:
            journal.mark(self.row, self.delivery, self.identity)
        if self.target.body_limit:
            journal.keep_body_limit(self.server, self.target.body_limit)


def delivery_state(reply: Reply | None) -> str:
    """PENDING, SENT or REJECTED: the state of a result's delivery after that answer."""
    if reply and client.accepted(reply):
        return SENT
    return REJECTED if reply and client.rejected(reply) else PENDING


def silent_place(url: str, reply: Reply) -> str:
    """What to leave alone after an answer that is neither: the server, or only this ping URL."""
    in_trouble = client.retryable(reply) and not client.too_often(reply)
    return server_of(url) if in_trouble else url


def server_of(url: str) -> str:
    """Scheme and host of a URL, without its password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def redactor(settings: Settings, target: Target, patterns: Iterable[str] = ()) -> Redactor:
    """Hides the secrets of this process, of the env file and of the target, and `patterns`."""
    sources = (settings.in_code, settings.environ, settings.from_file)
    secrets = [secret for source in sources for secret in secret_values(source)]
    return Redactor([*secrets, *target.secrets], patterns)


def retry_policy(settings: Settings) -> client.Policy:
    """How often a ping is tried, as HEALTHCHECKS_RETRY_COUNT and _DELAY say."""
    return client.Policy(settings.retry_count(), settings.retry_delay())
