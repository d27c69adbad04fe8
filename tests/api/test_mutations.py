"""Every command that asks the API, given 5,000 answers that are not what they should be.

None may end with a traceback, and nothing that a terminal would act on may reach the terminal. The
mutations are the same in each run.
"""

import copy
import json
import os
import random
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import click.testing
import pytest
import requests
import responses

from hcrun.api.client import HealthchecksClient
from hcrun.ctl.main import main
from hcrun.errors import ApiError
from hcrun.settings import Settings
from probes import check_escalation, check_healthchecks
from probes.framework.options import Source
from tests.servers.stored import Request
from tests.stub.healthchecks import HealthchecksStub
from tests.support.command import HCCTL, HCRUN
from tests.support.ptydriver import Terminal

pytestmark = pytest.mark.slow

SITE = "http://hc.example.com"
MUTATED = 5000  # answers in all
PARTS = 10
UUIDS = [str(UUID(int=number << 100)) for number in (1, 2, 3)]
CATALOG = """
[tiers.1]
channels = ["Ops"]

[channels.Ops]
kind = "email"
to = "ops@example.com"

[checks.one]
tier = "1"
every = "5m"
command = "true"

[checks.two]
tier = "1"
cron = "0 3 * * *"
command = "true"

[checks.gone]
tier = "1"
calendar = "Mon 03:00"
command = "true"
"""
AT = "2026-11-29T03:00:00+00:00"
CHECK: dict[str, Any] = {
    "name": "One",
    "slug": "one",
    "tags": "managed:hcrun tier:1",
    "desc": "",
    "grace": 600,
    "n_pings": 7,
    "status": "up",
    "started": False,
    "last_ping": AT,
    "next_ping": None,
    "last_duration": 3,
    "manual_resume": False,
    "methods": "",
    "subject": "",
    "start_kw": "START",
    "success_kw": "",
    "failure_kw": "",
    "filter_http_body": True,
    "badge_url": f"{SITE}/b/2/1.svg",
    "uuid": UUIDS[0],
    "ping_url": f"{SITE}/ping/{UUIDS[0]}",
    "channels": UUIDS[2],
    "timeout": 300,
}
PAUSED = CHECK | {"name": "Two", "slug": "two", "uuid": UUIDS[1], "status": "paused", "tz": "UTC"}
PAUSED |= {"schedule": "0 3 * * *", "timeout": None, "manual_resume": True}
DOWN = CHECK | {"name": "Three", "slug": "", "uuid": UUIDS[2], "status": "down", "tz": "UTC"}
DOWN |= {"schedule": "Mon 03:00 Europe/Riga", "timeout": None, "next_ping": AT}
CHECKS = [CHECK, PAUSED, DOWN]
FLIPS = [{"timestamp": AT, "up": 0}, {"timestamp": "2026-11-28T03:00:00+00:00", "up": 1}]
PING = {"type": "success", "date": AT, "n": 1, "scheme": "http", "remote_addr": "::1"}
PING |= {
    "method": "POST",
    "ua": "hcrun",
    "rid": UUIDS[0],
    "body_url": f"{SITE}/body",
    "duration": 1.5,
}
GOOD: dict[str, Any] = {
    "channels": {"channels": [{"id": UUIDS[2], "name": "Ops", "kind": "email"}]},
    "flips": {"flips": FLIPS},
    "pings": {"pings": [PING]},
    "metrics": {"ts": 1_800_000_000, "num_unprocessed_flips": 0},
}

ESCAPES = ["\x1b]0;x\x07", "\x1b[2Jx", "\x9b2Jx", "\x1b[97;40mx", "\x1bcx", "\x08x", "\rx", "\x7fx"]
WORDS = [
    *ESCAPES,
    "",
    " ",
    "x",
    "\n",
    "a\nB=c",
    "\0",
    "\ud800",
    "\u202ex",
    "ü",
    "x" * 5000,
    "http://[",
]
TIMES = ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:59", "2026-11-30", "2026-11-30T03:00"]
TIMES += ["1969-12-31T23:59:59+00:00", "2286-01-01T00:00:00+00:00", "2026-11-30T24:00:00+00:00"]
SCHEDULES = ["0 0 31 2 *", "Mon 03:00 Europe", "Mon 03:00 ../../etc/passwd", "2000-01-01", "*:*:*"]
SCHEDULES += ["* * * * 9", "Europe", "Mon 03:00 posixrules", "x ", "2100-02-29", "a b c d e"]
ZONES = ["Europe", "../../etc/passwd", "/etc/passwd", "posixrules", "zone.tab", "Europe/Kiev"]
NUMBERS = [-1, 0, 1, 10**9, 10**10, 10**11, 2**63, 10**30, -0.5, 1e308, float("nan"), float("inf")]
THINGS: list[Any] = [None, True, False, [], {}, [[]], [None], {"a": {}}, [{}] * 3, "down", "grace"]
ODD = [*WORDS, *TIMES, *SCHEDULES, *ZONES, *NUMBERS, *THINGS]
STATUSES = [201, 204, 301, 302, 308, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503]
LOCATIONS = ["", "/", "http://[", "//u:p@x", "http://\xff\xfe", "x" * 5000, *ESCAPES, "http://x:y/"]
COMMANDS = [
    "sync --plan",
    "sync --prune --yes",
    "sync --json",
    "sync --env-file ENV",
    "status",
    "status --json",
    "status --tier 1",
    "report week",
    "report 2026-11-28..2026-11-30 --format html",
    "report 2026-11-28..2026-11-30 --format markdown",
    "report week --format json",
    "pause one",
    "pause two",
    "pause --tag tier:1 --for 5m",
    "resume one --ping",
    "resume two Three",
    "resume --tag tier:1",
    "set one --period 5m",
    "set two --grace 1h",
    "flush",
    "channels",
    "channels --json",
    "doctor",
    "doctor --json",
    "the client",
    "probe-healthchecks",
    "probe-escalation",
]
AT_A_TERMINAL = [  # without those that show how far they are
    *("sync --plan", "status", "status --json", "pause one", "resume one --ping", "channels"),
    *("set two --grace 1h", "flush"),
    *("doctor", "doctor --json", "probe-healthchecks", "probe-escalation"),
]
ROUNDS = 3


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """All containers in a value, each with its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in list(items):
        yield value, key
        if isinstance(member, dict | list):
            yield from places(member)


def mutated(chance: random.Random, status: int, value: Any) -> tuple[int, dict[str, str], bytes]:
    headers = {"Content-Type": chance.choice(["application/json", "text/html", "\x1b[2J"])}
    kind = chance.randrange(10)
    if kind == 0:  # another status, with a text or an error
        texts = [chance.choice(WORDS), json.dumps({"error": chance.choice(ODD)})]
        headers["Retry-After"] = chance.choice(["1", "-1", "9" * 20, "\x1b[2J"])
        headers["Location"] = chance.choice(LOCATIONS)
        text = chance.choice(texts)
        return chance.choice(STATUSES), headers, text.encode("utf-8", "replace")
    if kind < 7 and not isinstance(value, str):  # other members
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            holder, key = chance.choice(list(places(value)) or [(value, "x")])
            if chance.randrange(5):
                holder[key] = chance.choice(ODD)
            else:
                holder.pop(key, None) if isinstance(holder, dict) else holder.pop(key)
        if value.get("num_unprocessed_flips"):  # then they are asked for again, for 5 s
            value["num_unprocessed_flips"] = chance.choice([-1, 2**63, "x", None, float("nan")])
    data = bytearray(value.encode() if isinstance(value, str) else json.dumps(value).encode())
    if kind == 7:  # nested deeply, here or as a member
        deep = chance.choice(["[" * 50_000, '{"a":' * 50_000, "[" * 500 + "]" * 500])
        data = bytearray(deep.encode() if kind % 2 else data.replace(b"null", deep.encode()))
    if kind == 8:
        data = data[: chance.randrange(len(data))]
    if kind == 9:  # other bytes
        for _ in range(chance.choice([1, 3, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
    return status, headers, bytes(data)


class Answers:
    """What a server says, mutated in one of two cases."""

    def __init__(self, part: str) -> None:
        self.part = part
        self.command = ""
        self.asked: Counter[str] = Counter()
        self.mutated = 0
        self.paused: set[str] = set()

    def good(self, method: str, path: str) -> tuple[int, Any]:
        last = path.rstrip("/").rpartition("/")[2]
        if last in ("status", "body"):
            return 200, "OK"
        checks = copy.deepcopy(CHECKS)
        for check in checks:
            if check["uuid"] in path and last in ("pause", "resume"):
                (self.paused.add if last == "pause" else self.paused.discard)(check["uuid"])
            if check["uuid"] in self.paused:
                check["status"] = "paused"
        if method == "GET" and last in GOOD:
            return 200, copy.deepcopy(GOOD[last])
        if method == "GET" and last == "checks":
            return 200, {"checks": checks}
        found = next((check for check in checks if check["uuid"] in path), checks[0])
        return 201 if last == "checks" else 200, found

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        key = f"{self.part} {self.command} {method} {path}"
        self.asked[key] += 1  # threads ask for different paths
        chance = random.Random(f"{key} {self.asked[key]}")
        status, value = self.good(method, path)
        if chance.randrange(2):
            self.mutated += 1
            return mutated(chance, status, value)
        data = value if isinstance(value, str) else json.dumps(value)
        return status, {}, data.encode()

    def __call__(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], bytes]:
        assert request.method
        assert request.url
        return self.answer(request.method, request.url.partition("?")[0].partition("/api/v3/")[2])


def is_clean(text: str) -> bool:
    """Whether a terminal would act on nothing but the colours of hcctl itself."""
    text = re.sub(r"\x1b\[(?:0|1|2|3[1-4])m", "", text)
    return all(c.isprintable() or c in "\n\t" for c in text)


def ask_client() -> str:
    """The functions of the client that no command calls, too."""
    client = HealthchecksClient()
    said = ""
    for call in (
        *(client.list_checks, client.list_channels, lambda: client.create_check("x", slug="one")),
        *(lambda: client.list_pings(UUIDS[0]), lambda: client.list_flips(UUIDS[0], 1.0, 2.0)),
        *(lambda: client.resume_check(UUIDS[0]), lambda: client.delete_check(UUIDS[0])),
        *(
            lambda: client.get_check("one"),
            lambda: [ping.body() for ping in client.list_pings(UUIDS[0])],
        ),
    ):
        try:
            call()
        except ApiError as error:
            said += f"{error}\n"
    return said


def arguments(command: str, path: Path) -> list[str]:
    """With a small catalogue, and without this machine's crontabs."""
    words = command.replace("ENV", str(path / "hc.env")).split()
    if words[0] == "doctor":
        words += ["--root", str(path)]
    without = words[0] in ("resume", "set", "flush")
    return words if without else [*words, "--catalog", str(path / "checks.toml")]


class Server(HealthchecksStub):
    def __init__(self) -> None:
        super().__init__()
        self.answers = Answers("terminal")

    def _process(self, request: Request, conn: socket.socket) -> bytes:
        _, api, path = request.path.partition("/api/v3/")
        if not api:
            return super()._process(request, conn)
        status, headers, body = self.answers.answer(request.method, path)
        lines = [f"HTTP/1.1 {status} OK", *(f"{name}: {text}" for name, text in headers.items())]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


def run(command: str, path: Path) -> str:
    """What the command prints. Raises what it raises."""
    if command == "the client":
        return ask_client()
    probes = {"probe-healthchecks": check_healthchecks, "probe-escalation": check_escalation}
    if command in probes:
        probe = probes[command].PROBE
        verdict = probe.verdict(probe.prepare([], Source(Settings.load(), probe.url)))
        line: str = verdict.line()
        assert "unexpected" not in line
        return line
    done = click.testing.CliRunner().invoke(main, arguments(command, path), color=True)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2)
    return done.output


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "checks.toml").write_text(CATALOG)
    for name, value in {
        "HOME": str(tmp_path),
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "HEALTHCHECKS_ENABLED": "true",
        "HEALTHCHECKS_API_URL": f"{SITE}/api/v3",
        "HEALTHCHECKS_PING_URL": "http://127.0.0.1:1/ping",
        "HEALTHCHECKS_API_KEY": "k" * 32,
        "HEALTHCHECKS_READ_KEY": "r" * 32,
        "HEALTHCHECKS_METRICS_KEY": "m",
        "HEALTHCHECKS_RETRY_COUNT": "1",
        "HEALTHCHECKS_RETRY_DELAY": "0",
        "HC_CHECK_ONE": UUIDS[0],
    }.items():
        monkeypatch.setenv(name, value)
    subprocess.run([HCRUN, "one", "--", "true"], check=True)  # its result waits to be delivered
    yield tmp_path
    for fd in Path("/proc/self/fd").iterdir():  # a journal keeps its lock until its process ends
        if fd.is_symlink() and fd.readlink() == tmp_path / "state" / "journal.lock":
            os.close(int(fd.name))


@pytest.mark.parametrize("part", range(PARTS))
@responses.activate
def test_mutated_answers(part: int, settings: Path) -> None:
    answers = Answers(str(part))
    for method in ("GET", "POST", "DELETE"):
        responses.add_callback(method, re.compile(f"{SITE}/.*"), answers)
    number = 0
    while answers.mutated < MUTATED / PARTS:
        command = COMMANDS[number % len(COMMANDS)]
        answers.command = f"{number} {command}"
        said = run(command, settings)
        assert is_clean(said), (answers.command, said)
        number += 1


def test_mutated_answers_at_a_terminal(settings: Path) -> None:
    with Server() as server:
        environ = dict(os.environ) | {"TERM": "xterm", "HEALTHCHECKS_API_URL": server.api_url}
        for number in range(ROUNDS * len(AT_A_TERMINAL)):
            command = AT_A_TERMINAL[number % len(AT_A_TERMINAL)]
            server.answers.command = f"{number} {command}"
            argv = [HCCTL, *arguments(command, settings)]
            if command.startswith("probe-"):
                argv = [sys.executable, "-m", f"probes.{command.replace('probe-', 'check_')}"]
            with Terminal(argv, environ) as terminal:
                status = terminal.wait()
                said = terminal.screen.replace("\r\n", "\n")
            assert status in (0, 1, 2), (command, said)
            assert said, command
            assert "Traceback" not in said, said
            assert is_clean(said), (command, said)
        assert server.answers.mutated > len(AT_A_TERMINAL)
