"""The text of a ping: what is in it, and what can never be."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hcrun.excerpt import Excerpt, excerpt
from hcrun.journal.message import compose, fit, opening
from hcrun.journal.run import Run
from hcrun.ping.client import LIMIT
from hcrun.redact import Redactor
from hcrun.run.output import Tail
from hcrun.text import clean
from tests.stub.healthchecks import Check
from tests.support.command import last_run
from tests.support.host import Host

RUN_ID = "0f0e0d0c-0b0a-4909-8807-060504030201"
SECRET = "hunter2-Zebra"
WHY = "FAILED: exit status 3 after 42 ms"
FAILED = f"""\
{WHY}; CPU 31 ms user + 4 ms system, peak memory 15.2 MB
started 2023-11-14 22:13:20 UTC by backup on db1, run {RUN_ID}
command: pg_dump app"""
OPENING = FAILED.partition("\n")[2]


def a_run(head: str = "", omitted: int = 0, tail: str = "", **changes: object) -> Run:
    run = Run(RUN_ID, 1_700_000_000.0)
    run.check, run.command, run.host, run.user = "dump", "pg_dump app", "db1", "backup"
    run.duration, run.status = 0.042, 3
    run.cpu_user, run.cpu_system, run.memory = 0.031, 0.004, 15_200_000
    run.result, run.why = "fail", "exit status 3 after 42 ms"
    run.excerpt = Excerpt(head, omitted, tail)
    vars(run).update(changes)
    return run


@pytest.mark.parametrize(
    ("run", "body"),
    [
        (a_run("one\ntwo\n"), f"{FAILED}\n\none\ntwo"),
        (
            a_run("one\n", 123_456, "two\n"),
            f"{FAILED}\n\none\n[... 123,456 bytes left out ...]\ntwo",
        ),
        (a_run(), FAILED),
        (a_run(memory=0), FAILED.replace(", peak memory 15.2 MB", "")),
        (a_run(duration=0.0), f"{WHY}\n{OPENING}"),  # it could not be started
        (a_run(result="skip", why="running", duration=0.0), f"SKIPPED: running\n{OPENING}"),
        (a_run(result="lost", why="gone", duration=None), f"LOST: gone\n{OPENING}"),
        (a_run(result="success"), FAILED.replace("FAILED", "OK")),
        (a_run(result="log"), FAILED.replace("FAILED", "NOT COUNTED")),
        (a_run(result="held"), FAILED.replace("FAILED", "FAILED, HELD BACK")),
        (a_run(result="recovers"), FAILED.replace("FAILED", "OK, HELD BACK")),
    ],
)
def test_whole_bodies(run: Run, body: str) -> None:
    """As a person reads them."""
    assert compose(run) == body
    first, newline, others = body.partition("\n")
    assert compose(run, note="Delivered late.") == f"{first}\nDelivered late.{newline}{others}"
    assert opening(run) == OPENING


@pytest.mark.parametrize(
    ("command", "result", "lines"),
    [
        ("probe-redis", "fail", ["Runbook: hcctl docs runbook redis"]),
        ("/opt/hcrun/bin/probe-kafka-lag -v", "fail", ["Runbook: hcctl docs runbook kafka-lag"]),
        ("probe-redis", "success", []),
        ("probe-redis", "held", []),
        ("my-probe-redis", "fail", []),
        ("sh probe-redis", "fail", []),
    ],
)
def test_the_alert_of_a_probe_names_its_runbook(
    command: str, result: str, lines: list[str]
) -> None:
    body = compose(a_run("REDIS UNKNOWN - a | b=1", command=command, result=result))
    assert body.splitlines()[2:-4] == lines


DOWN = "REDIS CRITICAL - 127.0.0.1:6379: connection refused"


@pytest.mark.parametrize(
    ("status", "output", "first"),
    [
        (2, f"{DOWN}\n", DOWN),
        (2, f"a warning of a library\n{DOWN} | latency=1s;;1\nmore\n", DOWN),
        (0, "REDIS OK - answers in 0.4 ms | latency=0.0004s\n", "REDIS OK - answers in 0.4 ms"),
        (1, "KAFKA LAG WARNING: 3 groups\n", "KAFKA LAG WARNING: 3 groups"),  # other plugins
        (3, "UNKNOWN - no such host\n", "UNKNOWN - no such host"),
        # of all probes: the sum, not the worst of them
        (2, f"ALL CRITICAL - DOWN\n{DOWN}\n", "ALL CRITICAL - DOWN"),
        # with --retries: the last attempt
        (2, f"REDIS CRITICAL - slow\nhcrun: attempt 1: exit status 2; trying again\n{DOWN}", DOWN),
        (2, f"hcrun: attempt 1: exit status 1; trying again\n{DOWN}", DOWN),
        (2, f"REDIS CRITICAL - {'x' * 9000}", f"REDIS CRITICAL - {'x' * 482}…"),
        # no verdict of a probe
        (0, f"{DOWN}\n", ""),
        (3, "the job is OK - or UNKNOWN - to us\n", ""),
        (2, "CRITICAL\n", ""),
        (4, f"{DOWN}\n", ""),
        (130, "REDIS OK - x\n", ""),
        (0, "", ""),
    ],
)
@pytest.mark.parametrize("omitted", [0, 5])
def test_the_verdict_of_a_probe_comes_first(
    status: int, output: str, first: str, omitted: int
) -> None:
    excerpt = ("", 5, output) if omitted else (output, 0, "")
    body = compose(a_run(*excerpt, status=status))
    assert body.startswith(f"{first}\n{WHY}" if first else WHY)
    assert output.rstrip() in body


class TestClean:
    @pytest.mark.parametrize(
        ("data", "text"),
        [
            (b"plain\n\ttext\n", "plain\n\ttext\n"),
            ("naïve ✓ 日本".encode(), "naïve ✓ 日本"),
            (b"bad \xff utf-8 \xc3", "bad \ufffd utf-8 \ufffd"),
            (b"\0a\x07b\x08c\x0bd\x0ce\x7ff\xc2\x85g", "abcdefg"),
            # escape sequences: colours, erase, title, hyperlink, charset, 8-bit CSI
            (b"\x1b[1;31mred\x1b[0m \x1b[2Kx\x1b[?25l", "red x"),
            (b"\x1b]0;title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"),
            (b"\x1b(Ba\x1bMb\x1b7c\x1b=d", "abcd"),
            (b"\xc2\x9b31mred", "red"),
            (b"\x1bP1$r\x1b\\dcs", "dcs"),
            # sequences without end take no more than their line
            (b"a\x1b]0;title\nb", "a\nb"),
            (b"a\x1b[31\nb", "a31\nb"),
            (b"a\x1b", "a"),
            # progress
            (b" 1%\r 50%\r100%\ndone\n", "100%\ndone\n"),
            (b"dos\r\nlines\r\n", "dos\nlines\n"),
            (b"fetching\r\x1b[K", "fetching"),
            (b"\r\r\n\rx\r", "\nx"),
            (b"split by \x1b[1mcol\x1b[0mour", "split by colour"),
        ],
    )
    def test_table(self, data: bytes, text: str) -> None:
        assert clean(data) == text

    @given(st.binary())
    def test_no_controls(self, data: bytes) -> None:
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", clean(data))

    @given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
    def test_text_stays(self, text: str) -> None:
        assert clean(text.encode()) == text


class TestFit:
    """Of an output that is too long, its beginning and, mostly, its end."""

    LINES = "".join(f"line {number:02}\n" for number in range(20))

    @pytest.mark.parametrize(
        ("room", "first", "mark", "last"),
        [(159, 20, None, 0), (158, 3, 33, 13), (100, 2, 89, 7), (70, 1, 121, 4)],
    )
    def test_room(self, room: int, first: int, mark: int | None, last: int) -> None:
        lines = self.LINES.splitlines()
        expected = lines[:first]
        if mark is not None:
            expected += [f"[... {mark} bytes left out ...]", *lines[-last:]]
        text = fit(Excerpt(self.LINES), room)
        assert text.splitlines() == expected
        assert len(text) <= room

    def test_what_was_not_kept_counts(self) -> None:
        text = fit(Excerpt(self.LINES[:40], 1000, self.LINES[40:]), 70)
        mark = "[... 1,120 bytes left out ...]"
        assert text.splitlines() == ["line 00", mark, *self.LINES.splitlines()[-4:]]

    def test_room_for_the_mark_only(self) -> None:
        assert fit(Excerpt(self.LINES), 28) == "[... 159 bytes left out ...]"
        assert fit(Excerpt(self.LINES), 25) == ""

    def test_one_long_line(self) -> None:
        text = fit(Excerpt("ä" * 500), 131)
        assert re.fullmatch(r"ä{9,10}\n\[\.\.\. \d{3} bytes left out \.\.\.\]\nä{40}", text)

    def test_short_tail_leaves_room_for_the_head(self) -> None:
        assert fit(Excerpt(self.LINES, 5, "end\n"), 170).startswith("line 00\nline 01\nline 02\n")
        assert "\nline 15\n" in fit(Excerpt(self.LINES, 5, "end\n"), 170)


class TestLimit:
    """A server that keeps little."""

    def test_the_verdict_is_the_last_to_go(self) -> None:
        run = a_run("some output\n" * 9)
        assert compose(run, 0) == ""
        assert compose(run, 10) == "FAILED: ex"
        assert compose(run, len(WHY)) == WHY
        assert compose(run, 90) == FAILED.splitlines()[0]
        assert compose(run, len(FAILED)) == FAILED

    def test_default(self) -> None:
        body = compose(a_run("é" * 50_000))
        assert LIMIT - 2 <= len(body.encode()) <= LIMIT


# Any output, as any chunks of it are read, kept in any proportion.
pieces = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [b"\n", b"\r", b" ", b"\x1b[1m", b"\x1b]0;t\x07", b"\x1b[", b"\xe2\x82", b"\0"]
    ),
    st.just(SECRET.encode()),
    st.just(b"\x1b[1m".join(bytes([byte]) for byte in SECRET.encode())),
)


@settings(max_examples=400)
@given(
    st.lists(pieces, max_size=12),
    st.integers(0, 80),
    st.integers(1, 200),
    st.integers(0, 600),
    st.sampled_from(["exit status 3", f"timed out: {'é' * 90}", ""]),
)
@example([SECRET.encode()] * 20, 20, 100, 400, "")
@example([b"\xe2\x82\xac" * 100], 0, 100, 303, "")
def test_whatever_comes(chunks: list[bytes], head: int, tail: int, limit: int, why: str) -> None:
    kept = Tail(head, tail)
    for chunk in chunks:
        kept.add(chunk)
    run = a_run()
    run.why = why
    run.excerpt = excerpt(*kept.output(), Redactor([SECRET]))
    body = compose(run, limit)
    assert len(body.encode("utf-8")) <= limit
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", body)
    assert SECRET not in body
    verdict = f"FAILED: {why}"
    if len(verdict.encode()) <= limit:
        assert body.startswith(verdict)
    else:
        assert verdict.startswith(body)
    kept_all = not run.excerpt.omitted and run.excerpt.head.strip("\n") in body
    assert kept_all or "bytes left out" in body or limit < 2 * len(verdict.encode()) + 260


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 100), st.integers(1, 200))
def test_what_is_left_out_adds_up(lengths: list[int], head: int, tail: int) -> None:
    data = b"".join(
        b"%x" % (number % 16) * length + b"|\n" for number, length in enumerate(lengths)
    )
    kept = Tail(head, tail)
    kept.add(data)
    text = fit(excerpt(*kept.output(), Redactor()), 150)
    first, *rest = re.split(r"(?:^|\n)\[\.\.\. ([\d,]+) bytes left out \.\.\.\](?:\n|$)", text)
    if not rest:
        assert first == data.decode().strip("\n")
        return
    omitted, last = rest
    assert data.decode().startswith(first)
    assert data.decode().rstrip("\n").endswith(last)
    newlines = 4  # around both parts
    shown = len(first) + len(last)
    assert 0 <= len(data) - int(omitted.replace(",", "")) - shown <= newlines


def fragments(text: str) -> list[str]:
    return [text[at : at + 6] for at in range(len(text) - 5)]


@pytest.mark.parametrize("colour", [b"", b"\x1b[31m"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"user app logs in with ", b" and goes on with its work"),
        (b"one line\nanother ", b" line\nand one\n"),
        (b"10%\r20% ", b" 30%\r40% 50%"),
        (b'{"a":"b","c":"', b'","e":"f"}'),
        (b"x" * 30, b"y" * 30),
        (b"", b""),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_secret_cut_by_what_was_not_kept(
    before: bytes, after: bytes, colour: bytes, known: bool
) -> None:
    """At every place, at either side of the gap; known by its value, or by what is before it."""
    letters = [bytes([byte]) for byte in SECRET.encode()]
    marked = colour.join(letters)
    if not known:
        before += b"Authorization: Bearer "
    redactor = Redactor([SECRET] if known else [])
    whole = before + marked + after
    for cut in range(len(before), len(before + marked) + 1):
        for output in (
            (whole[:cut], 1000, b"\nend"),
            (b"begin\n", 1000, whole[cut:]),
            (whole[:cut], 5, whole[cut + 5 :]),
        ):
            given = excerpt(*output, redactor)
            shown = given.head + given.tail
            assert not [part for part in fragments(SECRET) if part in shown]


def test_secret_of_several_words_cut_in_an_only_line() -> None:
    secret = "correct horse battery staple, of course"
    whole = f"before {secret} and after".encode()
    redactor = Redactor([secret])
    for cut in range(7, 7 + len(secret)):
        given = excerpt(whole[:cut], 9, whole[cut:], redactor)
        assert given.head in ("before ", "before")
        assert given.tail in (" and after", "and after", "after", "")


def test_progress_is_cut_between_its_steps() -> None:
    given = excerpt(b"10%\r20%\r3", 9, b"%\r80%\r100% of all done\n", Redactor())
    assert (given.head, given.omitted, given.tail) == ("20%", 12, "100% of all done\n")


def test_an_only_line_is_not_lost() -> None:
    words = b" ".join(b"%d" % number for number in range(1000))
    given = excerpt(words[:100], 500, words[-100:], Redactor())
    assert given.head == words[:100].decode().rpartition(" ")[0] + " "
    assert given.tail == words[-100:].decode().split(" ", 3)[3]
    assert len(given.head) + given.omitted + len(given.tail) == 700


class TestRun:
    """Through the real command."""

    def test_a_body(self, host: Host, check: Check) -> None:
        script = "echo out; echo err >&2; sleep 0.2; exit 3"
        host.run(check.uuid, "--", "sh", "-c", script)
        start, end = host.stub.wait_for(check, 2)
        opened = start.body.decode().splitlines()
        assert re.fullmatch(
            r"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC by \S+ on \S+, run [0-9a-f-]{36}",
            opened[0],
        )
        assert opened[1:] == [f"command: sh -c '{script}'"]
        first, *others = end.body.decode().splitlines()
        assert re.fullmatch(
            r"FAILED: exit status 3 after 0\.\d+ s; CPU [^,]+ user \+ [^,]+ system"
            r"(, peak memory .+ MB)?",
            first,
        )
        assert others == [*opened, "", "out", "err"]

    def test_the_limit_of_the_server(self, host: Host, check: Check) -> None:
        host.stub.body_limit = 500
        host.run(check.uuid, "--", "seq", "100000")
        lines = host.stub.wait_for(check, 2)[1].body.decode().splitlines()
        assert lines[0].startswith("OK: exit status 0 after ")
        assert (lines[-1], lines[4]) == ("100000", "1")
        (mark,) = [line for line in lines if line.startswith("[...")]
        assert mark.startswith("[... 588,")

    def test_no_output(self, host: Host, check: Check) -> None:
        assert host.run("--no-output", check.uuid, "--", "echo", "private").stdout == b"private\n"
        lines = host.stub.wait_for(check, 2)[1].body.decode().splitlines()
        assert lines[2:] == ["command: echo private"]
        assert last_run(host.path).excerpt.head == ""
