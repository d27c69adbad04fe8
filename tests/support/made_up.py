"""An invented quarter, always the same, for the tests of report formats. Times are UTC."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from hcrun.api.models import Check as RemoteCheck
from hcrun.api.models import Flip
from hcrun.catalog import Slo
from hcrun.journal.maintenance import Window
from hcrun.journal.queries import Change, LastRun, RunCounts
from hcrun.reports.checks import MonitoredCheck
from hcrun.reports.forecast import Forecast
from hcrun.reports.period import Period
from hcrun.reports.report import CheckReport, Recorded, Report, Scope, check_report

FIRST, LAST = date(2026, 11, 9), date(2026, 11, 15)
DAYS = 90


def at(text: str) -> float:
    """`2026-11-12 03:00` -> seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


SCOPE = Scope(Period(FIRST, LAST), Period.until(date(2026, 11, 8), 7), at("2026-11-16 06:30"), DAYS)


def remote(slug: str, status: str, pings: int) -> RemoteCheck:
    data: dict[str, Any] = dict.fromkeys(("tags", "desc", "methods"), "")
    data |= {"uuid": f"{slug:0>8}-0000", "name": slug, "slug": slug, "status": status}
    data |= dict.fromkeys(("last_ping", "next_ping")) | {"started": False, "manual_resume": False}
    return RemoteCheck.from_json(data | {"n_pings": pings, "timeout": 60, "grace": 60})


def check(
    slug: str,
    tier: str = "",
    slo: Slo | None = None,
    status: str = "up",
    *,
    pings: int = 9000,
    recorded: bool = True,
) -> MonitoredCheck:
    there = remote(slug, status, pings)
    return MonitoredCheck(slug, slug, tier, "production", (), slo, None, there, recorded)


def window(begin: str, end: str, reason: str) -> Window:
    planned = at(end)
    return Window(1, "", "", at(begin), planned, planned, reason, "ops", True, False)


def outages(*spans: tuple[str, int], since: str = "2026-07-01 00:00") -> list[Flip]:
    """Up since then, but for so many minutes from each of these times."""
    found = [Flip(at(since), True)]
    for begin, minutes in spans:
        found += [Flip(at(begin), False), Flip(at(begin) + 60 * minutes, True)]
    return found


def days(
    runs: int, seconds: float, bad: Iterable[tuple[str, int]] = (), slower: float = 0.0
) -> dict[date, RunCounts]:
    """So many runs a day of so many seconds, which become slower; on some days some fail.

    Each check has days of its own: quiet weekends, noise, and some slow days.
    """
    draw = Random(f"{runs} {seconds}").random
    weekend, noise, spikes = 0.6 + 0.4 * draw(), 0.1 + 0.5 * draw(), 0.08 * draw()
    failed = {date.fromisoformat(day): count for day, count in bad}
    found = {}
    for n in range(DAYS):
        day = LAST - timedelta(days=DAYS - 1 - n)
        wave = (1 + noise * draw()) * (weekend if day.weekday() > 4 else 1)
        slow = 1 + 2 * draw() if draw() < spikes else 1
        mean = seconds * wave * slow * (1 + slower * n / DAYS)
        missed = failed.get(day, 0)
        results = Counter({"success": runs - missed, "fail": missed})
        found[day] = RunCounts(results, mean * runs, runs)
    return found


def failure(begin: str, seconds: float, why: str, output: str) -> LastRun:
    return LastRun(at(begin), at(begin) + seconds, seconds, "fail", why, output=output)


def row(
    check: MonitoredCheck,
    flips: list[Flip] | None,
    days: dict[date, RunCounts],
    p95: tuple[float, float] | None = None,
    **recorded: Any,
) -> CheckReport:
    """The report of one check; `recorded` are its values of the journal, p95 now and before."""
    slug = check.slug
    if p95:
        recorded["durations"], recorded["durations_before"] = ([p / 2, p] for p in p95)
    found = Recorded(
        days={day: {slug: runs} for day, runs in days.items()},
        **{name: {slug: value, check.key: value} for name, value in recorded.items()},
    )
    return check_report(check, SCOPE, found, flips)


def report(problems: tuple[str, ...] = ()) -> Report:
    """Of eleven checks: good ones, bad ones, one of each trouble."""
    api, database = Slo("availability", 99.9), Slo("availability", 99.95)
    jobs, tokens = Slo("success", 95), Slo("success", 99)
    flaps = [(f"2026-11-11 0{hour}:{minute}0", 4) for hour in range(3) for minute in (0, 3)]
    http_503 = "HTTP 503 from <auth.example.com> & no more tries"
    why = "exit status 3 after 5 min"
    late = Change(at("2026-11-13 02:00"), at("2026-11-14 05:00"), at("2026-11-14 05:05"), True)
    checks = [
        row(
            check("api", "1", api),
            outages(("2026-09-12 10:00", 30), ("2026-10-30 02:10", 12), ("2026-11-12 14:03", 19)),
            days(1440, 0.21, slower=0.8),
            (0.61, 0.45),
        ),
        row(
            check("postgres", "1", database),
            outages(("2026-10-02 23:00", 14), ("2026-11-10 04:00", 6)),
            days(2880, 0.05),
            (0.09, 0.09),
            windows=[window("2026-11-14 22:00", "2026-11-14 23:30", "PostgreSQL 16")],
        ),
        row(check("redis", "1", database), outages(), days(2880, 0.004), (0.006, 0.006)),
        row(
            check("celery-worker", "1", api),
            outages(*flaps, ("2026-08-30 08:00", 600)),
            days(1440, 1.1),
            (1.9, 2.4),
        ),
        row(
            check("kafka", "2", Slo("availability", 99.5)),
            outages(("2026-11-13 01:00", 5), since="2026-10-20 09:00"),
            days(720, 0.7),
            (1.2, 1.1),
        ),
        row(
            check("refresh-tokens", "3", tokens),
            outages(),
            days(96, 3.2, [("2026-11-12", 9), ("2026-11-13", 2), ("2026-10-21", 1)]),
            (9.5, 4.1),
            failures=failure("2026-11-13 04:15", 30, "exit status 1 after 30 s", http_503),
        ),
        row(
            check("cleanup", "3", jobs),
            outages(("2026-11-12 02:30", 1440)),
            days(1, 310.0, [("2026-11-12", 1)], slower=0.2),
            (390.0, 371.0),
            failures=failure("2026-11-12 02:00", 300, why, "0 rows deleted"),
            changes=[late],
        ),
        row(check("vault", "2"), outages(), days(288, 0.3), (0.4, 0.4)),
        row(check("local-only", "3", jobs), None, days(24, 12.0), (14.0, 13.5)),
        row(check("new-one", "4", None, "new", pings=0, recorded=False), [], {}),
        row(
            check("paused-one", "4", None, "paused"),
            [*outages(), Flip(at("2026-11-11 12:00"), False)],
            {},
        ),
    ]
    return Report(
        scope=SCOPE,
        zone="UTC",
        host="app1",
        server="https://hc.example.com/api/v3",
        no_server="",
        journal="/var/lib/hcrun/journal.db",
        recorded_from=at("2026-08-18 00:00"),
        problems=problems,
        checks=tuple(sorted(checks, key=lambda row: row.urgency)),
        forecasts=(Forecast("minio", "minio usage", "minio usage full in 23 days", 23 * 86400.0),),
    )
