"""What the owner of the fleet database does: create, check and prune it."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from hcrun.errors import HcrunError
from hcrun.fleet.connection import VERSION
from hcrun.text import counted, listed
from hcrun.units import span, volume

if TYPE_CHECKING:
    from hcrun.fleet.connection import Connection

_SKEW = 60.0  # seconds that a host's clock may be wrong
_SILENT = 3600.0  # seconds
_SCHEMAS = ("schema.sql",)  # the n-th one makes version n of the version before


class Host(NamedTuple):
    """A host that ships. Times are seconds."""

    name: str
    silent: float  # since it shipped
    ahead: float  # its clock


class Size(NamedTuple):
    """Bytes of the fleet database, and what it will have at its retention."""

    total: int
    runs: int  # raw runs and readings
    a_day: float | None  # of them; None: no whole day is known yet
    final: float | None


def version(connection: "Connection") -> int:
    """0: there is no schema."""
    if connection.execute("SELECT to_regclass('hcrun.meta')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT version FROM hcrun.meta").fetchone()
    return int(row[0]) if row else 0


def init(connection: "Connection", zone: str, retention: Mapping[str, int]) -> tuple[int, int]:
    """Create or update the schema; returns the versions before and now.

    `retention` has columns of hcrun.meta. Raises HcrunError for a newer schema.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('hcrun.init'))")
        before = version(connection)
        if before > VERSION:
            what = f"its schema has version {before}, this hcrun knows {VERSION}"
            raise HcrunError(what, where="the fleet database", hint="upgrade hcrun")
        for name in _SCHEMAS[before:]:
            text = (files("hcrun.fleet") / name).read_text(encoding="utf-8")
            connection.execute(text.encode())
        if before == 0:
            connection.execute(
                "INSERT INTO hcrun.meta (version, zone) SELECT 0, coalesce((SELECT name FROM"
                " pg_timezone_names WHERE name = %s), 'UTC')",
                (zone,),
            )
        connection.execute("UPDATE hcrun.meta SET version = %s", (VERSION,))
        for column, value in retention.items():
            # As an identifier: it is one of a list of options, not a text of a user.
            connection.execute(f"UPDATE hcrun.meta SET {column} = %s".encode(), (value,))  # noqa: S608
        connection.execute("SELECT hcrun.partition(current_date + n) FROM generate_series(0, 2) n")
    return before, VERSION


def meta(connection: "Connection") -> dict[str, Any]:
    """The columns of hcrun.meta. Raises HcrunError for an unknown schema."""
    found = version(connection)
    if found != VERSION:
        hint = "run hcctl fleet init" if found < VERSION else "upgrade hcrun"
        what = f"its schema has version {found}, this hcrun knows {VERSION}"
        raise HcrunError(what, where="the fleet database", hint=hint)
    cursor = connection.execute("SELECT * FROM hcrun.meta")
    names = [column.name for column in cursor.description or ()]
    return dict(zip(names, cursor.fetchone() or (), strict=True))


def hosts(connection: "Connection") -> list[Host]:
    """The most silent one first."""
    rows = connection.execute(
        "SELECT host, min(extract(epoch FROM now() - last_seen))::float8,"
        " (array_agg(clock_ahead ORDER BY last_seen DESC))[1]::float8"
        " FROM hcrun.source GROUP BY host ORDER BY 2 DESC"
    )
    return [Host(name, silent, ahead or 0.0) for name, silent, ahead in rows]


def size(connection: "Connection", known: Mapping[str, Any]) -> Size:
    """The forecast assumes that each coming day is like the last whole ones."""
    total, raw = connection.execute(
        "SELECT pg_database_size(current_database()), coalesce(sum(pg_total_relation_size(inhrelid)), 0)"
        " FROM pg_inherits WHERE inhparent IN ('hcrun.run'::regclass, 'hcrun.reading'::regclass)"
    ).fetchone() or (0, 0)
    days = connection.execute(
        "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
        " WHERE inhparent IN ('hcrun.run'::regclass, 'hcrun.reading'::regclass)"
        " AND right(relname, 8) < to_char(now(), 'YYYYMMDD') GROUP BY right(relname, 8)"
        " ORDER BY right(relname, 8) DESC LIMIT 7"
    ).fetchall()
    whole = [float(each) for (each,) in days]
    a_day = sum(whole) / len(whole) if whole else None
    if a_day is None:
        return Size(int(total), int(raw), None, None)
    kept = a_day * known["raw_days"]
    if known["max_bytes"]:
        kept = min(kept, float(known["max_bytes"]))
    ages = connection.execute(
        "SELECT pg_total_relation_size(t), greatest(1, extract(day FROM now() - began)) FROM"
        " (SELECT 'hcrun.hour'::regclass, min(begin) FROM hcrun.hour UNION ALL"
        " SELECT 'hcrun.day'::regclass, min(begin) FROM hcrun.day) x (t, began)"
    ).fetchall()
    for (bytes_, age), days_kept in zip(ages, (known["hour_days"], known["day_days"]), strict=True):
        kept += float(bytes_) * max(1.0, days_kept / float(age or 1))
    return Size(int(total), int(raw), a_day, kept)


def lines(connection: "Connection", known: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """What there is to say of it; True: a problem."""
    found = hosts(connection)
    silent = [each for each in found if each.silent > _SILENT]
    yield (
        False,
        f"version {known['version']}, {counted(len(found), 'host')}, days of {known['zone']}",
    )
    if silent:
        names = listed([f"{each.name} ({span(each.silent)})" for each in silent])
        yield (
            True,
            f"silent: {names}; is hcctl ship run there? If a host is gone: prune --host NAME",
        )
    if wrong := [each for each in found if abs(each.ahead) > _SKEW]:
        names = listed([f"{each.name} ({each.ahead:+.0f} s)" for each in wrong])
        yield True, f"wrong clocks: {names}; its figures are of other hours: correct it with NTP"
    kept = size(connection, known)
    text = f"{volume(kept.total)}, of which {volume(kept.runs)} runs and readings"
    if kept.a_day is not None and kept.final is not None:
        text += f"; {volume(kept.a_day)} a day, about {volume(kept.final)} at its retention"
    days = f"{known['raw_days']}, {known['hour_days']} and {known['day_days']}"
    yield False, f"{text}; runs, hours and days are kept for {days} days"
    row = connection.execute(
        "SELECT to_regclass('hcrun.run_' || to_char(now(), 'YYYYMMDD')) IS NULL, current_setting('is_superuser')"
        " = 'on', (SELECT count(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND NOT ssl)"
    ).fetchone()
    assert row
    if row[1]:
        yield True, "its owner is a superuser: use a role of its own, see docs/fleet.md"
    if (
        row[2]
        and connection.info.host
        and not connection.info.host.startswith(("/", "127.", "localhost"))
    ):
        yield True, "the connection is not encrypted; add ?sslmode=verify-full to the URL"


def prune(connection: "Connection") -> list[str]:
    """Delete what is older than the retention; returns the days."""
    connection.execute("SET statement_timeout = 0")
    return [day for (day,) in connection.execute("SELECT hcrun.prune()")]


def forget(connection: "Connection", host: str) -> int:
    """Delete a host that is gone; returns the number of its journals."""
    row = connection.execute("SELECT hcrun.forget(%s)", (host,)).fetchone()
    return int(row[0]) if row else 0
