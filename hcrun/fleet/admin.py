"""What the owner of the fleet database does: create, check and prune it."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from hcrun.errors import HcrunError
from hcrun.files import table
from hcrun.fleet.connection import VERSION
from hcrun.text import counted, listed
from hcrun.units import span, volume

if TYPE_CHECKING:
    from hcrun.fleet.connection import Connection

_SQL = table(__file__, "admin.toml")
_SCHEMAS = ("schema.sql",)  # the n-th one makes version n of the version before
_SKEW = 60.0  # seconds that a host's clock may be wrong
_SILENT = 3600.0  # seconds


class Host(NamedTuple):
    """A host that ships."""

    name: str
    silent: float  # seconds since it shipped
    ahead: float  # seconds, its clock


class Size(NamedTuple):
    """Bytes of the fleet database."""

    total: int
    runs: int  # raw runs and readings
    a_day: float | None  # of them, in the last whole days; None: there was none
    final: float | None  # at its retention, if the coming days are like those


def version(connection: "Connection") -> int:
    """0: there is no schema."""
    if connection.execute("SELECT to_regclass('hcrun.meta')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT version FROM hcrun.meta").fetchone()
    return int(row[0]) if row else 0


def init(connection: "Connection", zone: str, retention: Mapping[str, int | None]) -> int:
    """Create or update the schema; returns the version before.

    `retention` has raw, hour and day (days) and size (bytes); None: as it is. Raises HcrunError
    for a newer schema.
    """
    given = dict.fromkeys(("raw", "hour", "day", "size")) | dict(retention)
    with connection.transaction():
        connection.execute(_SQL["lock"])
        before = version(connection)
        if before > VERSION:
            what = f"its schema has version {before}, this hcrun knows {VERSION}"
            raise HcrunError(what, where="the fleet database", hint="upgrade hcrun")
        for name in _SCHEMAS[before:]:
            text = (files("hcrun.fleet") / name).read_text(encoding="utf-8")
            connection.execute(text.encode())
        if before == 0:
            connection.execute(_SQL["create_meta"], (zone,))
        connection.execute(_SQL["retention"], {"version": VERSION, **given})
        connection.execute(_SQL["partitions"])
    return before


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
    return [Host(*row) for row in connection.execute(_SQL["hosts"])]


def size(connection: "Connection", known: Mapping[str, Any]) -> Size:
    total, raw = connection.execute(_SQL["size"]).fetchone() or (0, 0)
    days = [bytes_ for (bytes_,) in connection.execute(_SQL["days"])]
    if not days:
        return Size(total, raw, None, None)
    a_day = sum(days) / len(days)
    final = min(a_day * known["raw_days"], known["max_bytes"] or float("inf"))
    hour, hour_days, day, day_days = connection.execute(_SQL["sums"]).fetchone() or (0, 1, 0, 1)
    final += hour * max(1.0, known["hour_days"] / (hour_days or 1))
    final += day * max(1.0, known["day_days"] / (day_days or 1))
    return Size(total, raw, a_day, final)


class State(NamedTuple):
    """What `hcctl fleet check` finds."""

    meta: Mapping[str, Any]  # the columns of hcrun.meta
    hosts: list[Host]
    size: Size
    problems: list[str]

    @property
    def lines(self) -> list[str]:
        """What there is to say, but for the problems."""
        meta, size = self.meta, self.size
        text = f"{volume(size.total)}, of which {volume(size.runs)} are runs and readings"
        if size.a_day is not None and size.final is not None:
            text += f"; {volume(size.a_day)} a day, {volume(size.final)} at its retention"
        days = f"{meta['raw_days']}, {meta['hour_days']} and {meta['day_days']} days"
        limit = f", runs up to {volume(meta['max_bytes'])}" if meta["max_bytes"] else ""
        known = counted(len(self.hosts), "host")
        return [
            f"version {meta['version']}, {known}, days of {meta['zone']}",
            f"{text}; it keeps runs, hours and days for {days}{limit}",
        ]


def state(connection: "Connection") -> State:
    """Raises HcrunError for an unknown schema."""
    known, found = meta(connection), hosts(connection)
    return State(known, found, size(connection, known), list(_problems(connection, found)))


def _problems(connection: "Connection", found: Sequence[Host]) -> Iterator[str]:
    if silent := [each for each in found if each.silent > _SILENT]:
        names = listed([f"{each.name} ({span(each.silent)})" for each in silent])
        hint = "look at hcctl ship there; if a host is gone: hcctl fleet prune --host NAME"
        yield f"silent: {names}; {hint}"
    if wrong := [each for each in found if abs(each.ahead) > _SKEW]:
        names = listed([f"{each.name} ({each.ahead:+.0f} s)" for each in wrong])
        yield f"wrong clock: {names}; its figures are of other hours: start NTP there"
    is_superuser, is_plain = connection.execute(_SQL["unsafe"]).fetchone() or (False, False)
    if is_superuser:
        yield "its owner is a superuser: give it a role of its own, see docs/fleet.md"
    if is_plain and not connection.info.host.startswith(("/", "127.", "localhost", "::1")):
        yield "the connection is not encrypted: add ?sslmode=verify-full to HCRUN_FLEET_URL"


def prune(connection: "Connection") -> list[str]:
    """Delete what is older than the retention; returns the days."""
    connection.execute("SET statement_timeout = 0")
    return [day for (day,) in connection.execute(_SQL["prune"])]


def forget(connection: "Connection", host: str) -> int:
    """Delete a host that is gone; returns the number of its journals."""
    row = connection.execute(_SQL["forget"], (host,)).fetchone()
    return int(row[0]) if row else 0
