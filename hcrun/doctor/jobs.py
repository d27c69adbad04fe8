"""The jobs of this host: whether they ping, and whether what they probe is configured."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from hcrun.api.models import Check as RemoteCheck
from hcrun.catalog import Catalog
from hcrun.doctor.checks import in_use
from hcrun.doctor.finding import Finding, any_of, finding, grouped
from hcrun.doctor.server import configured
from hcrun.doctor.settings import check_names
from hcrun.errors import HcrunError, JournalError
from hcrun.journal.foreign import as_user
from hcrun.ping.target import resolve
from hcrun.schedulers import users
from hcrun.schedulers.installed import Line
from hcrun.settings import HOSTED, Settings
from hcrun.variables import KNOWN, is_configured

_SERVICES = KNOWN.keys() - {"escalation"}  # whose default is right
KEY, URL = "HEALTHCHECKS_PING_KEY", "HEALTHCHECKS_PING_URL"


def evaluate(lines: Sequence[Line], settings: Settings, root: str) -> Iterator[Finding]:
    """Whether each job has the settings that it needs to ping the server of these settings."""
    if not (settings.enabled() and configured(settings)):
        return
    if not lines and not check_names(settings) and resolve("x", settings).why:
        yield finding("no-ping-key", severity="error" if settings.get(URL) else "note")
    found: list[tuple[str, str]] = []
    shared = Settings.load({"HCRUN_ENV_FILE": os.path.join(root, "etc/environment")}).from_file
    # systemd reads credentials as root.
    of_user = grouped(("root" if line.credentials else line.user, line) for line in lines)
    for name, own in of_user:
        user = users.find(name, root)
        own = [line for line in own if line.job and line.knowable]
        if user and own and os.geteuid() in (0, user.uid):
            whys = _whys(own, user, shared, settings.ping_url())
            found += [
                (why and f"{why}\0{name}", line.where) for line, why in zip(own, whys, strict=True)
            ]
    for text, places in grouped(found):
        text, _, name = text.partition("\0")
        what, _, fix = text.partition("; ")
        if locked := re.search(r"(/\S+): Permission denied", what):
            what = f"{name} cannot read {locked[1]}"
            fix = f"chgrp {name} {locked[1]} && chmod 0640 {locked[1]}"
        fix = fix or "write it to /etc/hcrun/hcrun.env, or above the lines of the crontab"
        yield finding("cannot-ping", names=places, what=what, fix=fix)


def _whys(
    lines: Sequence[Line], user: users.User, shared: Mapping[str, str], server: str
) -> list[str]:
    """Why each of these cannot ping, as their user sees it; `shared` is what PAM gives to cron."""

    def find() -> list[str]:
        base = {"HOME": user.home}
        return [
            _why(line, base | ({} if line.timer else dict(shared)) | dict(line.environ), server)
            for line in lines
        ]

    try:
        return list(as_user(user.uid, user.home, find))
    except JournalError as problem:
        return [problem.what] * len(lines)


def _why(line: Line, environ: Mapping[str, str], server: str) -> str:
    """Why this job cannot ping, "" if it can or is not to."""
    given = Settings.load(environ)
    assert line.job
    if not given.enabled() or "://" in line.job.check:
        return ""
    if not given.get(URL) and server != HOSTED:
        return next(iter(given.problems), f"{URL} is not set for it, so it pings {HOSTED}")
    if not resolve(line.job.check, given).why:
        return ""
    try:
        given.secret(KEY)
    except HcrunError as problem:
        return str(problem)
    return next(iter(given.problems), f"it has neither {KEY} nor a UUID of its check")


def evaluate_services(
    lines: Sequence[Line], settings: Settings, catalog: Catalog, checks: Sequence[RemoteCheck]
) -> Iterator[Finding]:
    """Probes of this host, or of none yet, that look for their service where it is by default.

    If the check is up, it is there.
    """
    states = {check.slug: check.status for check in checks}
    environs = {line.job.check: line.environ for line in lines if line.job}
    bare = []
    for check in catalog.checks if in_use(catalog, checks) else ():
        probe = os.path.basename(check.command[0]).removeprefix("probe-") if check.command else ""
        looked = {"new", "down", "paused"} if check.slug in environs else {"new"}
        if probe not in _SERVICES or states.get(check.slug, "new") not in looked:
            continue
        variables = KNOWN[probe].variables
        names = [variable.lower().replace("_", "-") for variable in variables]
        options = {word[2:].partition("=")[0] for word in check.command if word[:2] == "--"}
        by_option = any(option in name for option in options for name in names)
        own = Settings(environs.get(check.slug, {}), settings.from_file)
        if not (by_option or is_configured(own, variables) or is_configured(settings, variables)):
            bare.append(f"{check.slug} ({' or '.join(variables)})")
    yield from any_of("bare-probes", bare)
