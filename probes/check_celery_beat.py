#!/usr/bin/env python3
"""Celery's beat: is it alive?

Beat answers no questions. Two things tell of it:
- a key in Redis, the heartbeat, that a task of its schedule writes: that beat sent it, and that a
  worker did it. The value is the time, in seconds since the epoch or ISO 8601; any other value is
  good as long as the key expires (RedBeat's lock is such a key). This is the stronger test.
- the schedule file, which beat writes every 3 minutes (180 s, or at once after a new start), and
  which depends on the database modules of Python: one file, or .db, or .dat, .dir and .bak.
The defaults, and why: age 10 min, 20 min, as the file is up to 3 minutes old, and beat may need a
moment to start. With a heartbeat every minute, 2 min and 5 min are better.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import math
import os
import stat
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from hcrun.units import span
from probes.clients.broker import BROKER, SECRETS, connected
from probes.framework.options import Threshold, option
from probes.framework.probe import LATENCY, Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, state_reading

# dbm.gnu writes no suffix, dbm.ndbm .db or .dir and .pag, dbm.dumb .dat, .dir and .bak, and
# dbm.sqlite3 a log beside the file.
FORMS = ("", ".db", ".dat", ".dir", ".pag", ".bak", "-wal")
SKEW = 60.0  # seconds that the clocks of two hosts may differ


def check_celery_beat(context: Context) -> None:
    key = context.options["heartbeat_key"]
    if key:
        _look_at_heartbeat(key, context)
    else:
        path = os.path.abspath(context.options["schedule"])
        context.at(path)
        context.add(evaluate_schedule(path, time.time() - _written(path), context.ranges))


def _written(path: str) -> float:
    """When the newest form of the file was written, in seconds since the epoch."""
    times = []
    for form in FORMS:
        try:
            found = os.stat(path + form)
            if stat.S_ISREG(found.st_mode):  # a directory changes with any file in it
                times.append(found.st_mtime)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UnknownError(f"{path}{form}: {error.strerror}") from None
    if not times:
        hint = "give beat's -s to --schedule, or use --heartbeat-key"
        raise UnknownError(f"there is no schedule {path}", hint=hint)
    return max(times)


def _look_at_heartbeat(key: str, context: Context) -> None:
    with connected(context) as (connection, reached):
        if reached is None:
            hint = "leave --heartbeat-key away, and the schedule file is looked at"
            raise UnknownError(
                "the heartbeat is a key in Redis, and this broker is none", hint=hint
            )
        client = connection.default_channel.client
        kind = client.type(key).decode()
        value = client.get(key).decode(errors="replace") if kind == "string" else None
        expires = client.ttl(key)
    if kind not in ("string", "none"):
        context.add(
            state_reading("heartbeat", Status.UNKNOWN, f"heartbeat {key} is a {kind}, not a string")
        )
    else:
        context.add(evaluate_heartbeat(key, value, expires, time.time(), context.ranges))


def evaluate_schedule(path: str, age: float, ranges: Ranges) -> Reading:
    """`age` in seconds."""
    if age < -SKEW:
        text = f"schedule {path} was written {span(-age)} in the future"
        return state_reading(
            "schedule", Status.UNKNOWN, text, "was the clock of this host set back?"
        )
    age = max(0.0, age)
    text = f"schedule {path} written {span(age)} ago"
    hint = "is beat running, and is this its schedule?"
    return Reading("schedule_age", age, "s", text, *ranges["age"], minimum=0, hint=hint)


def evaluate_heartbeat(
    key: str, value: str | None, expires: float, now: float, ranges: Ranges
) -> Reading:
    """`value` is None for no such key; `expires` is in seconds, negative for never."""
    hint = "is beat running, and a worker that does its task?"
    if value is None:
        return state_reading("heartbeat", Status.CRITICAL, f"there is no heartbeat {key}", hint)
    beat = _time(value)
    if beat is None:
        if expires < 0:
            text = f"heartbeat {key} is no time, and never expires"
            hint = "have the task write time.time()"
            return state_reading("heartbeat", Status.UNKNOWN, text, hint)
        return state_reading("heartbeat", Status.OK, f"heartbeat {key} expires in {span(expires)}")
    if beat > now + SKEW:
        text = f"heartbeat {key} is {span(beat - now)} in the future"
        return state_reading("heartbeat", Status.UNKNOWN, text, "set the clocks of the hosts")
    age = max(0.0, now - beat)
    text = f"heartbeat {key} written {span(age)} ago"
    return Reading("heartbeat_age", age, "s", text, *ranges["age"], minimum=0, hint=hint)


def _time(text: str) -> float | None:
    """A time in seconds since the epoch, or in ISO 8601; one without a zone is in UTC."""
    try:
        value = float(text)
        return value if 1e9 < value < math.inf else None  # a counter is no time
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


PROBE = Probe(
    "celery-beat",
    f"""Look whether Celery's beat is alive: by its schedule file, or by a heartbeat in Redis.

    The heartbeat is the stronger test: a task in beat's schedule that writes the time to a key.
    Without --heartbeat-key, it is the time at which the schedule file was written. Only for the
    heartbeat: {SECRETS}
    """,
    check_celery_beat,
    extra="celery",
    url=BROKER,
    options=[
        option(
            "--schedule",
            "CELERY_BEAT_SCHEDULE",
            "The schedule file: what beat has as -s.",
            default="celerybeat-schedule",
            metavar="FILE",
        ),
        option("--heartbeat-key", "CELERY_BEAT_HEARTBEAT_KEY", "The key of the heartbeat."),
    ],
    thresholds=[
        LATENCY,
        Threshold("age", "s", "10m", "20m", "time since beat was seen"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
