"""What the stub of a Healthchecks server keeps: checks, pings, channels; and its HTTP replies."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qs
from uuid import uuid4
from zoneinfo import ZoneInfo

from cronsim import CronSim
from oncalendar import OnCalendar

EXPLANATIONS = {404: "The requested resource was not found on this server."}
TITLES = {404: "Not Found", 400: "Bad Request (400)", 500: "Server Error (500)"}


@dataclass(frozen=True)
class Request:
    """One request as it came in, whether or not it was recorded as a ping."""

    method: str
    target: str  # with the query, still quoted
    version: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    received: float = field(default_factory=time.monotonic)
    received_wall: float = field(default_factory=time.time)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def params(self) -> dict[str, str]:
        query = self.target.partition("?")[2]
        return {k: v[-1] for k, v in parse_qs(query, keep_blank_values=True).items()}


@dataclass(frozen=True)
class Ping:
    """A ping as the server keeps it."""

    n: int
    kind: str  # start, success, fail, log or ign
    exitstatus: int | None
    rid: str | None
    body: bytes  # at most body_limit bytes
    method: str
    ua: str
    headers: dict[str, str]
    duration: float | None = None
    received: float = field(default_factory=time.monotonic)
    received_wall: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Flip:
    """A change of a check's state."""

    status: str
    at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Channel:
    """Where alerts go."""

    name: str
    kind: str = "email"
    id: str = field(default_factory=lambda: str(uuid4()))


@dataclass
class Check:
    """A check; times in (monotonic) seconds."""

    slug: str = ""
    name: str = ""
    tags: str = ""
    desc: str = ""
    schedule: str = ""  # a cron or OnCalendar expression; then `timeout` says nothing
    tz: str = "UTC"
    channels: set[str] = field(default_factory=set)  # their ids
    uuid: str = field(default_factory=lambda: str(uuid4()))
    methods: str = ""
    filter_http_body: bool = False
    filter_default_fail: bool = False
    filter_subject: bool = False
    filter_body: bool = False
    start_kw: str = ""
    success_kw: str = ""
    failure_kw: str = ""
    manual_resume: bool = False
    timeout: float = 86400
    grace: float = 3600
    stored_status: str = "new"
    last_ping: float | None = None
    last_start: float | None = None
    last_start_rid: str | None = None
    last_duration: float | None = None
    pings: list[Ping] = field(default_factory=list)
    flips: list[Flip] = field(default_factory=list)
    badge_key: str = field(default_factory=lambda: str(uuid4()))

    @property
    def started(self) -> bool:
        return self.last_start is not None

    @property
    def status(self) -> str:
        """Check.get_status: new, up, grace, down or paused."""
        now = time.monotonic()
        if self.last_start is not None and now >= self.last_start + self.grace:
            return "down"
        if self.stored_status != "up" or self.last_ping is None:
            return self.stored_status
        late = now - self.due if self.due is not None else -1
        return "down" if late >= self.grace else "grace" if late >= 0 else "up"

    @property
    def due(self) -> float | None:
        """When the next ping of a check that is up is expected."""
        if self.stored_status != "up" or self.last_ping is None:
            return None
        if not self.schedule:
            return self.last_ping + self.timeout
        clock = time.time() - time.monotonic()
        last = datetime.fromtimestamp(clock + self.last_ping, ZoneInfo(self.tz))
        kind = CronSim if len(self.schedule.split()) == 5 else OnCalendar
        return next(kind(self.schedule, last)).timestamp() - clock

    @property
    def next_ping(self) -> float | None:
        """When the next ping is expected: Check.get_grace_start."""
        running = None if self.stored_status == "down" else self.last_start
        return min((at for at in (running, self.due) if at is not None), default=None)

    def turn(self, status: str) -> None:
        if self.stored_status != status:
            self.flips.append(Flip(status))
            self.stored_status = status

    def pause(self) -> None:
        self.turn("paused")
        self.last_start = None

    def resume(self) -> None:
        self.turn("new")
        self.last_start, self.last_ping = None, None

    def judge(self, request: Request, body: bytes, action: str) -> str:
        """What the server makes of an action: methods and keywords can overrule it."""
        if self.methods == "POST" and request.method != "POST":
            return "ign"
        if not self.filter_http_body:
            return action
        text = body.decode()  # a UnicodeDecodeError is a 500 there, too
        for kind, keywords in (
            ("fail", self.failure_kw),
            ("success", self.success_kw),
            ("start", self.start_kw),
        ):
            if any(word.strip() in text for word in keywords.split(",") if word.strip()):
                return kind
        return "fail" if self.filter_default_fail else "ign"

    def ping(
        self, request: Request, body: bytes, kind: str, rid: str | None, exitstatus: int | None
    ) -> None:
        """Check.ping; `sendalerts` is taken to have run just before."""
        if self.status == "down":
            self.turn("down")
        if self.stored_status == "paused" and self.manual_resume:
            kind = "ign"
        ua = request.headers.get("user-agent", "")[:200]
        now = time.monotonic()
        if kind == "start":
            self.last_start, self.last_start_rid = now, rid
        elif kind in ("success", "fail"):
            self.last_ping, self.last_duration = now, None
            if self.last_start is not None:
                if self.last_start_rid == rid:
                    self.last_duration = now - self.last_start
                    self.last_start = None
                elif kind == "fail" or rid is None:
                    self.last_start = None
            self.turn("down" if kind == "fail" else "up")
        duration = self.last_duration if kind in ("success", "fail") else None
        said = (len(self.pings) + 1, kind, exitstatus, rid, body, request.method, ua)
        self.pings.append(Ping(*said, request.headers, duration, now))


def reply(
    status: int,
    body: bytes | str = "",
    headers: dict[str, str] | None = None,
    kind: str = "text/html; charset=utf-8",
) -> bytes:
    """The bytes of a reply. The server says neither Date nor Connection: it just hangs up."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"Content-Type: {kind}"]
    lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def page(status: int) -> bytes:
    """Django's own HTML page for 400, 404 and 500."""
    title = TITLES[status]
    return reply(
        status,
        f'\n<!doctype html>\n<html lang="en">\n<head>\n  <title>{title}</title>\n</head>\n'
        f"<body>\n  <h1>{title}</h1><p>{EXPLANATIONS.get(status, '')}</p>\n</body>\n</html>\n",
    )


NOT_FOUND = reply(404, "not found")
