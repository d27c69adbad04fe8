"""The second server, HEALTHCHECKS_PING_URL_2: it gets each result, too, from a journal of its own.

So an outage of one server costs the other nothing: neither a ping, nor time, nor its backlog. Only
runs with that setting import this.
"""

import time
from _collections_abc import Callable

from hcrun.environment import exists
from hcrun.errors import SettingsError
from hcrun.journal.backlog import deliver_pending
from hcrun.journal.database import FILE
from hcrun.journal.delivery import ASKING, BACKLOG, Report, retry_policy
from hcrun.journal.journal import Journal
from hcrun.journal.run import Run
from hcrun.paths import directory_of
from hcrun.ping import client
from hcrun.ping.target import Target, is_uuid, label, resolve
from hcrun.results import PENDING, REJECTED, SENT
from hcrun.run.background import BackgroundCall
from hcrun.run.job import Job
from hcrun.run.signals import SignalForwarder
from hcrun.settings import CHECK_PREFIX, Settings

URL, KEY = "HEALTHCHECKS_PING_URL_2", "HEALTHCHECKS_PING_KEY_2"
_INSTEAD = {"HEALTHCHECKS_PING_URL": URL, "HEALTHCHECKS_PING_KEY": KEY}
_OF_THE_FIRST = (CHECK_PREFIX, "HEALTHCHECKS_API_KEY", "HEALTHCHECKS_READ_KEY")
_DIRECTORY = "second"  # in that of the journal
_BY_SLUG = "it knows checks by slug only; name the check instead of its UUID or ping URL"


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
        return Target(label(check), why=_BY_SLUG)
    try:
        key = settings.secret("HEALTHCHECKS_PING_KEY")
    except SettingsError as error:
        return Target(label(check), why=str(error))
    if not key:
        return Target(label(check), why=f"set {KEY} to the ping key of its project")
    target = resolve(check, settings, create)
    target.why = _named(target.why)
    return target


def _named(text: str) -> str:
    """A message about the first server, as one about the second."""
    for name, own in _INSTEAD.items():
        text = text.replace(name, own)
    return text


def has_second(settings: Settings) -> bool:
    """Whether this user has a journal for the second server. Raises JournalError."""
    return exists(f"{directory_of(settings)}/{_DIRECTORY}/{FILE}")


def open_second(settings: Settings) -> Journal:
    """The journal of the second server. Raises JournalError."""
    return Journal(f"{directory_of(settings)}/{_DIRECTORY}")


class Second:
    """One run on its way to the second server. Only bugs raise: problems are in `notes`."""

    def __init__(self, run: Run, job: Job, settings: Settings, forwarder: SignalForwarder) -> None:
        self.notes: list[str] = []
        self._settings = SecondSettings(settings)
        self._policy = retry_policy(settings)
        self._forwarder = forwarder
        self._job = job
        self._journal: Journal | None = None
        self._report = Report(run)
        self.target = self._report.target = second_target(job.check, self._settings, job.create)
        self._ended = False
        self._start: BackgroundCall | None = None
        self._end: BackgroundCall | None = None
        self._until = 0.0  # monotonic

    def begin(self, sends_start: bool) -> None:
        """Record that the run is in progress, and send the start ping."""
        if not self.target.url:
            if self.target.why not in ("", _BY_SLUG):  # `--dry-run` and doctor tell the latter
                self.notes.append(self.target.why)
            return
        try:
            journal = open_second(self._settings)
            self._report.begin(journal)
            self._journal = journal
        except Exception as error:
            self._give_up_journal(error)
        if sends_start:
            deadline = time.monotonic() + 10 * client.FIRST_TRY
            self._start = BackgroundCall(
                lambda: self._report.send_start(self._policy, deadline, lambda: self._ended)
            )

    def _give_up_journal(self, error: Exception) -> None:
        self.notes.append(f"not recorded: {error}")
        self._journal = None

    def end(self) -> None:
        """Record the result, and send it while the first server gets it."""
        self._ended = True
        if self.target.url:
            self._until = time.monotonic() + self._job.deadline
            self._end = BackgroundCall(self._deliver)

    def wait(self) -> list[str]:
        """Wait until the result is delivered or time is up; returns the notes."""
        if self._end:
            is_over = self._end.wait(self._until - time.monotonic() + ASKING, self._asked_to_end)
            if self._end.problem:
                self.notes.append(self._end.problem)
            if not is_over:
                self.notes.append("no answer in time; a later run or `hcctl flush` delivers it")
        return [f"second server: {note}" for note in self.notes]

    @property
    def _asked_to_end(self) -> Callable[[], bool]:
        return self._forwarder.asked_to_end

    def _deliver(self) -> None:
        report = self._report
        try:
            if self._journal:
                report.finish(self._journal)
                self._journal.find_lost(time.time())
        except Exception as error:
            self._give_up_journal(error)
        if self._start:
            self._start.wait(self._job.deadline / 2, self._asked_to_end)
        report.reply = report.send_end(self._journal, self._policy, self._until, self._asked_to_end)
        if report.delivery != SENT:
            self._note_delivery()
        try:
            if self._journal:
                self._settle(self._journal)
        except Exception as error:
            self._give_up_journal(error)

    def _note_delivery(self) -> None:
        assert self._report.reply
        why = _named(client.explain(self._report.reply, self.target))
        if self._report.delivery == REJECTED:
            self.notes.append(f"not pinged: {why}")
        elif self._report.delivery == PENDING:
            kept = "a later run or `hcctl flush` delivers it" if self._journal else "it is lost"
            self.notes.append(f"result not delivered: {why}; {kept}")

    def _settle(self, journal: Journal) -> None:
        """Record the answer, and deliver earlier results if the server is there."""
        report = self._report
        report.record_delivery(journal)
        if report.delivery == SENT and journal.has_undelivered(report.server):
            deliver_pending(
                journal, self._settings, BACKLOG, self._asked_to_end, server=report.server
            )
        journal.release(report.row)
