#!/usr/bin/env python3
"""Celery beat: is it running?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import math
import os
import stat
import time
from datetime import UTC, datetime

from hcrun.units import span
from probes.clients.broker import BROKER, connected
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading

# dbm.gnu writes no suffix, dbm.ndbm .db or .dir and .pag, dbm.dumb .dat, .dir and .bak, and
# dbm.sqlite3 a log beside the file.
FORMS = ("", ".db", ".dat", ".dir", ".pag", ".bak", "-wal")
SKEW = 60.0  # seconds by which the clocks of two hosts may differ


def check_celery_beat(context: Context) -> None:
    key = context.options["heartbeat_key"]
    if key:
        _check_heartbeat(key, context)
    else:
        path = os.path.abspath(context.options["schedule"])
        context.at(path)
        context.add(evaluate_schedule(path, time.time() - _written(path), context.ranges))


def _written(path: str) -> float:
    """The time when the schedule was written, in seconds since the epoch. Raises UnknownError."""
    times = []
    for form in FORMS:
        try:
            status = os.stat(path + form)
            if stat.S_ISREG(status.st_mode):  # any file in a directory changes its time
                times.append(status.st_mtime)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UnknownError(f"{path}{form}: {error.strerror}") from None
    if not times:
        hint = "set --schedule to the value of beat's -s, or use --heartbeat-key"
        raise UnknownError(f"there is no schedule {path}", hint=hint)
    return max(times)


def _check_heartbeat(key: str, context: Context) -> None:
    with connected(context) as (connection, reached):
        if reached is None:
            hint = "remove --heartbeat-key to check the schedule file"
            raise UnknownError("--heartbeat-key needs a Redis broker", hint=hint)
        channel = connection.default_channel
        client, prefix = channel.client, channel.global_keyprefix
        key = prefix + key if client.exists(prefix + key) else key
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
    """Returns a reading on the schedule file; `age` is in seconds."""
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
    """Returns a reading on the heartbeat.

    `value` is None if there is no such key; `expires` is in seconds, negative for never.
    """
    hint = "check that beat runs, and a worker for its task"
    if value is None:
        return state_reading("heartbeat", Status.CRITICAL, f"there is no heartbeat {key}", hint)
    beat = _time(value)
    if beat is None:
        if expires < 0:
            text = f"heartbeat {key} is not a time, and never expires"
            hint = "let the task write time.time()"
            return state_reading("heartbeat", Status.UNKNOWN, text, hint)
        return state_reading("heartbeat", Status.OK, f"heartbeat {key} expires in {span(expires)}")
    if beat > now + SKEW:
        text = f"heartbeat {key} is {span(beat - now)} in the future"
        return state_reading(
            "heartbeat", Status.UNKNOWN, text, "synchronize the clocks of the hosts"
        )
    age = max(0.0, now - beat)
    text = f"heartbeat {key} written {span(age)} ago"
    return Reading("heartbeat_age", age, "s", text, *ranges["age"], minimum=0, hint=hint)


def _time(text: str) -> float | None:
    """The time in a text: seconds since the epoch, or ISO 8601, in UTC without a time zone."""
    try:
        value = float(text)
        return value if 1e9 < value < math.inf else None  # a counter is not a time
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


PROBE = Probe("celery-beat", table("celery-beat"), check_celery_beat, url=BROKER, extra="celery")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
