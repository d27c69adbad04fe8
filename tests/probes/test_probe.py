"""What probes share: limits, readings, verdicts, sources, state, and the main loop."""

import json
import os
import posix
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.errors import SettingsError
from hcrun.settings import Settings
from probes.framework.options import Source, Threshold, Url
from probes.framework.probe import Context, CriticalError, Probe, UnknownError
from probes.framework.state import APART, WINDOW, directory, growth_of
from probes.framework.table import LATENCY, Table
from probes.framework.verdict import (
    INFINITY,
    Range,
    Reading,
    Status,
    Verdict,
    number,
    show,
    state_reading,
)
from tests.servers.process import Command


class TestRange:
    @pytest.mark.parametrize(
        ("text", "unit", "good", "bad"),
        [
            ("10", "", [0, 5, 10], [-1, 10.1]),
            ("10:", "", [10, 1e9], [9.9, -5]),
            ("~:10", "", [-1e9, 0, 10], [11]),
            ("10:20", "", [10, 15, 20], [9, 21]),
            ("@10:20", "", [9, 21], [10, 15, 20]),
            ("@10", "", [-1, 11], [0, 10]),
            ("0", "", [0], [1, -1]),
            (":10", "", [0, 10], [-1, 11]),
            ("-10:-5", "", [-10, -7, -5], [-11, -4, 0]),
            ("200MB", "B", [0, 2e8], [2e8 + 1]),
            ("1GiB:2GiB", "B", [2**30, 2**31], [2**30 - 1]),
            ("30s", "s", [0, 30], [30.1]),
            ("500ms:1h30m", "s", [0.5, 5400], [0.4, 5401]),
            ("~:5m", "s", [-1, 300], [301]),
            ("80%", "%", [0, 80], [81]),
            ("80", "%", [80], [81]),
            ("10:80%", "%", [10, 80], [9, 81]),
        ],
    )
    def test_ranges(self, text: str, unit: str, good: list[float], bad: list[float]) -> None:
        threshold = Range.parse(text, unit)
        assert [value for value in good if threshold.broken_by(value)] == []
        assert [value for value in bad if not threshold.broken_by(value)] == []

    @pytest.mark.parametrize(("text", "unit"), [("80%", ""), ("80%", "B"), ("0:80%", "")])
    def test_percent_of_the_most(self, text: str, unit: str) -> None:
        threshold = Range.parse(text, unit).of(50)
        assert not threshold.broken_by(40)
        assert threshold.broken_by(41)
        assert str(threshold) == "40"

    @pytest.mark.parametrize(
        ("text", "unit"),
        [
            ("", ""), ("@", ""), ("~", ""), ("x", ""), ("5:1", ""), ("1:2:3", ""), ("--5", ""),
            ("nan", ""), ("inf", ""), ("10:50%", ""), ("80%", "s"), ("5s", "B"), ("5MB", "s"),
            ("5MB", ""), ("10:~", ""), ("%", ""), ("-", ""), ("off", ""),
        ],
    )  # fmt: skip
    def test_wrong(self, text: str, unit: str) -> None:
        with pytest.raises(ValueError, match=r"write it like|is empty|one end in per cent"):
            Range.parse(text, unit)

    @given(st.text(alphabet="0123456789.:@~%-smhdkMGBi ", max_size=12), st.sampled_from("sB%"))
    def test_any_text_is_a_range_or_a_value_error(self, text: str, unit: str) -> None:
        try:
            threshold = Range.parse(text, unit)
        except ValueError:
            return
        assert threshold.low <= threshold.high

    @given(
        st.integers(-(10**12), 10**12) | st.just(-INFINITY),
        st.integers(-(10**12), 10**12) | st.just(INFINITY),
        st.booleans(),
        st.booleans(),
        st.integers(-(10**12), 10**12),
    )
    def test_round_trip(
        self, one: float, other: float, inside: bool, percent: bool, value: int
    ) -> None:
        low, high = sorted((one, other))
        percent = percent and any(0 < abs(end) < INFINITY for end in (low, high))
        threshold = Range(low, high, inside, percent)
        again = Range.parse(str(threshold))
        assert again == threshold
        assert threshold.broken_by(value) == ((low <= value <= high) == inside)

    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (0.0004, "s", "0.4 ms"), (0.5, "s", "0.5 s"), (30, "s", "30 s"), (0, "s", "0 s"),
            (2e8, "B", "200.0 MB"), (79.6, "%", "80%"), (1.25, "", "1.25"), (3, "", "3"),
        ],
    )  # fmt: skip
    def test_values_for_people(self, value: float, unit: str, text: str) -> None:
        assert show(value, unit) == text

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0, "0"), (1.5, "1.5"), (1e15, "1000000000000000"), (-1e-9, "0"), (100, "100")],
    )
    def test_values_for_graphs(self, value: float, text: str) -> None:
        assert number(value) == text


def ranges(warning: str, critical: str = "") -> Any:
    """The keywords of a Reading for its limits."""
    return {
        "warning": Range.parse(warning),
        "critical": Range.parse(critical) if critical else None,
    }


NAN = float("nan")


class TestReading:
    @pytest.mark.parametrize(
        ("reading", "status", "words"),
        [
            (Reading("load", 1, **ranges("5", "9")), Status.OK, ""),
            (Reading("load", 1, text="load 1", **ranges("5", "9")), Status.OK, "load 1"),
            (Reading("load", 6, **ranges("5", "9")), Status.WARNING, "load 6 (over 5)"),
            (Reading("load", 10, **ranges("5", "9")), Status.CRITICAL, "load 10 (over 9)"),
            (Reading("load", 1, **ranges("2:")), Status.WARNING, "load 1 (under 2)"),
            (Reading("load", 3, **ranges("@2:4")), Status.WARNING, "load 3 (in @2:4)"),
            (Reading("load"), Status.UNKNOWN, "load could not be read"),
            (Reading("load", NAN, **ranges("5")), Status.UNKNOWN, "load could not be read"),
            (Reading("load", INFINITY, **ranges("5")), Status.UNKNOWN, "load could not be read"),
            (Reading("load", 10**400), Status.UNKNOWN, "load could not be read"),
            (
                Reading("load", 3, maximum=NAN, **ranges("80%")),
                Status.UNKNOWN,
                "load 3 (no maximum to take 80% of)",
            ),
            (
                Reading("load", 3, **ranges("80%")),
                Status.UNKNOWN,
                "load 3 (no maximum to take 80% of)",
            ),
            (Reading("load", 9, maximum=10, **ranges("80%")), Status.WARNING, "load 9 (over 80%)"),
            (
                Reading("load", 9, text="busy", hint="rest", **ranges("5")),
                Status.WARNING,
                "busy (over 5); rest",
            ),
            (
                state_reading("link", Status.CRITICAL, "is down", "look"),
                Status.CRITICAL,
                "is down; look",
            ),
            (state_reading("link", Status.OK, "is up", "look"), Status.OK, "is up"),
        ],
    )
    def test_status_and_words(self, reading: Reading, status: Status, words: str) -> None:
        assert reading.status is status
        assert reading.message() == words

    @pytest.mark.parametrize(
        ("reading", "perfdata"),
        [
            (Reading("load", 1), "load=1"),
            (Reading("load"), ""),
            (Reading("time", 0.25, "s", **ranges("0.5", "1"), minimum=0), "time=0.25s;0.5;1;0"),
            (Reading("clients", 3, **ranges("80%", "90%"), maximum=10), "clients=3;8;9;;10"),
            (Reading("clients", 3, **ranges("80%", "90%")), "clients=3"),
            (Reading("seen", 3, "c", **ranges("@5:")), "seen=3c;@5:"),
            (Reading("my queue", 3), "'my queue'=3"),
            (Reading("it's=new", 3), "'it''s_new'=3"),
            (Reading("disk", 5, "%", maximum=100, minimum=0), "disk=5%;;;0;100"),
        ],
    )
    def test_perfdata(self, reading: Reading, perfdata: str) -> None:
        assert reading.perfdata() == perfdata


class TestVerdict:
    @pytest.mark.parametrize(
        ("statuses", "status"),
        [
            ("", "UNKNOWN"),  # nothing was checked
            ("OK", "OK"),
            ("OK WARNING", "WARNING"),
            ("UNKNOWN WARNING OK", "UNKNOWN"),
            ("WARNING UNKNOWN CRITICAL OK", "CRITICAL"),
        ],
    )
    def test_the_gravest_counts(self, statuses: str, status: str) -> None:
        verdict = Verdict("demo")
        verdict.add(*(state_reading(word, Status[word], word) for word in statuses.split()))
        assert verdict.status.name == status

    def test_line(self) -> None:
        verdict = Verdict("demo")
        verdict.add(Reading("a", 1, "s", "a is well"), Reading("b", 2))
        verdict.add(state_reading("c", Status.WARNING, "c is | ill\n\x1bvery"))
        verdict.add(state_reading("d", Status.CRITICAL, "d is dead"))
        assert verdict.line() == "DEMO CRITICAL - d is dead, c is / ill very, a is well | a=1s b=2"
        assert json.loads(json.dumps(verdict.as_json()))["readings"][0] == {
            "label": "a",
            "status": "OK",
            "value": 1,
            "unit": "s",
            "warning": None,
            "critical": None,
            "min": None,
            "max": None,
            "message": "a is well",
        }

    def test_nothing(self) -> None:
        assert Verdict("demo").line() == "DEMO UNKNOWN - nothing was checked"

    @given(st.text(), st.floats(-1e15, 1e15), st.text())
    def test_whatever_is_read_the_line_can_be_read(
        self, label: str, value: float, text: str
    ) -> None:
        verdict = Verdict("demo")
        verdict.add(Reading(label, value, "B", text, Range.parse("~:"), minimum=0))
        line = verdict.line()
        assert line.isprintable()
        words, bar, perfdata = line.partition(" | ")
        assert words.startswith("DEMO OK - ")
        assert bar
        assert "|" not in perfdata
        assert re.fullmatch(r"('([^'=]|'')*'|[\w.:/-]+)=-?\d+(\.\d+)?B;~:;;0", perfdata)


def split(url: str) -> dict[str, str]:
    password, host = url.removeprefix("demo://").split("@")
    return {"password": password, "host": host}


URL = Url("DEMO_URL", "demo://user:password@host", split)


class TestSource:
    @pytest.mark.parametrize(
        ("environ", "env_file", "host"),
        [
            ({}, {}, ""),
            ({"DEMO_HOST": "a"}, {}, "a"),
            ({"DEMO_HOST": "a"}, {"DEMO_HOST": "b"}, "a"),
            ({}, {"DEMO_HOST": "b"}, "b"),
            ({"DEMO_URL": "demo://pw@c", "DEMO_HOST": "a"}, {}, "c"),
            ({"DEMO_URL": "demo://pw@c"}, {"DEMO_HOST": "b"}, "c"),
            ({}, {"DEMO_URL": "demo://pw@c", "DEMO_HOST": "b"}, "c"),
            ({"DEMO_HOST": "a"}, {"DEMO_URL": "demo://pw@c"}, "a"),
            ({"DEMO_URL": "demo://pw@c", "DEMO_HOST": "a"}, {"DEMO_URL": "demo://pw@d"}, "c"),
        ],
    )
    def test_precedence(self, environ: dict[str, str], env_file: dict[str, str], host: str) -> None:
        assert Source(Settings(environ, env_file), URL).get("DEMO_HOST", "host") == host

    def test_secrets(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("p/w\n")
        reference = {"DEMO_PASSWORD_FILE": str(tmp_path / "secret")}
        source = Source(Settings(reference, {}), URL)
        assert source.secret("DEMO_PASSWORD") == "p/w"
        assert source.quote("wrong p/w,\n or p%2Fw") == "wrong ***, or ***"
        in_url = Source(Settings({"DEMO_URL": "demo://pw1@host"}, {}), URL)
        assert in_url.secret("DEMO_PASSWORD") == "pw1"
        in_file = Source(Settings(reference, {"DEMO_URL": "demo://pw1@host"}), URL)
        assert in_file.secret("DEMO_PASSWORD") == "p/w"

    @pytest.mark.parametrize(
        ("text", "redacted"),
        [
            ("at redis://me:s3cr3t@host/0!", "at redis://me:***@host/0!"),
            ("at redis://:s3:cr@3t@host", "at redis://:***@host"),
            ("at http://host:80/path", "at http://host:80/path"),
        ],
    )
    def test_passwords_in_urls(self, text: str, redacted: str) -> None:
        assert Source(Settings({}, {})).redact(text) == redacted

    @pytest.mark.parametrize("url", ["demo://nonsense", "demo://us/er:pw@host", "demo://a@b@c"])
    def test_wrong_url_is_not_repeated(self, url: str) -> None:
        with pytest.raises(SettingsError) as caught:
            Source(Settings({"DEMO_URL": url}, {}), URL).get("DEMO_HOST", "host")
        assert str(caught.value) == (
            "DEMO_URL: is not a valid URL; "
            "write it like demo://user:password@host, special characters percent-encoded"
        )


class TestState:
    def test_growth(self, tmp_path: Path) -> None:
        settings = Settings({"STATE_DIRECTORY": f"{tmp_path}/a:{tmp_path}/b"}, {})
        path = tmp_path / "a/probes/demo-%2Fa%2Fb.json"

        def run(
            later: float, life: str, uptime: float | None = None, **counters: float
        ) -> tuple[list[float | None], int]:
            """Run that many seconds after the last time."""
            if path.exists():
                state = json.loads(path.read_text())
                state["samples"] = [[at - later, totals] for at, totals in state["samples"]]
                path.write_text(json.dumps(state))
            since = growth_of(settings, "demo", "/a/b", life, counters, uptime)
            assert since.problem == ""
            return list(since.growth.values()), since.restarts

        assert run(0, "1", seen=5) == ([None], 0)
        assert run(60, "1", seen=5, lost=2) == ([0, None], 0)
        assert run(60, "1", seen=9, lost=2) == ([4, 0], 0)
        assert run(60, "1", seen=9, lost=3) == ([4, 1], 0)  # in the whole window
        assert run(60, "1", seen=3, lost=3) == ([7, 1], 0)  # began again
        assert run(60, "2", seen=4, lost=9) == ([11, 10], 1)  # another process
        assert run(60, "3", 10, seen=1, lost=1) == ([12, 11], 2)  # started 10 s ago
        assert run(60, "4", 1000, seen=80, lost=80) == ([12, 11], 2)  # another server
        assert run(WINDOW, "4", seen=81, lost=80) == ([1, 0], 0)  # since the last run
        assert run(2 * WINDOW, "4", seen=83, lost=80) == ([2, 0], 0)
        for seen in range(84, 94):
            assert run(APART / 100, "4", seen=seen, lost=80) == ([seen - 81, 0], 0)
        assert len(json.loads(path.read_text())["samples"]) < 5
        for nonsense in ("", "{}", "[]", '{"life": 1, "samples": [[1]]}', "\udcff"):
            path.write_bytes(nonsense.encode(errors="surrogateescape"))
            assert growth_of(settings, "demo", "/a/b", "2", {"seen": 5}).growth == {"seen": None}
        assert path.stat().st_mode & 0o777 == 0o600

    def test_clock_set_back(self, tmp_path: Path) -> None:
        settings = Settings({"STATE_DIRECTORY": str(tmp_path)}, {})
        growth_of(settings, "demo", "x", "1", {"seen": 5})
        path = tmp_path / "probes/demo-x.json"
        state = json.loads(path.read_text())
        state["samples"][0][0] += 3600
        path.write_text(json.dumps(state))
        assert growth_of(settings, "demo", "x", "1", {"seen": 8}).growth == {"seen": None}
        assert growth_of(settings, "demo", "x", "1", {"seen": 9}).growth == {"seen": 1}

    def test_many_servers_have_one_file(self, tmp_path: Path) -> None:
        settings = Settings({"STATE_DIRECTORY": str(tmp_path)}, {})
        servers = ",".join(f"kafka-{number}.example.com:9092" for number in range(20))
        for target, growth in ((servers, None), (servers, 2), (servers + ",x:1", None)):
            seen = {"seen": 5 + (growth or 0)}
            since = growth_of(settings, "demo", target, "1", seen)
            assert (since.growth, since.problem) == ({"seen": growth}, "")

    def test_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        home = {"HOME": "/home/me"}
        monkeypatch.setattr(posix, "geteuid", lambda: 0)
        assert directory(Settings({}, {})) == "/var/lib/hcrun/probes"
        monkeypatch.setattr(posix, "geteuid", lambda: 1000)
        assert directory(Settings(home, {})) == "/home/me/.local/state/hcrun/probes"
        monkeypatch.setattr(posix, "geteuid", lambda: 54321)
        without = growth_of(Settings({}, {}), "demo", "x", "1", {"a": 1})
        assert without.growth == {"a": None}
        assert without.problem.startswith("user 54321 has no home; set STATE_DIRECTORY ")
        assert directory(Settings({"XDG_STATE_HOME": "/x"}, {})) == "/x/hcrun/probes"
        assert directory(Settings({"STATE_DIRECTORY": "/s:/t"}, {})) == "/s/probes"

    @pytest.mark.parametrize("where", ["/dev/null/state", "/proc/self/state"])
    def test_unusable(self, where: str) -> None:
        since = growth_of(Settings({"STATE_DIRECTORY": where}, {}), "demo", "x", "1", {"a": 1})
        assert since.growth == {"a": None}
        assert since.problem.startswith(f"{where}/probes/demo-x.json: ")


def raising(error: BaseException) -> Callable[[Context], None]:
    def check_it(context: Context) -> None:
        context.at("127.0.0.1", 80)
        context.answered(0.001)
        raise error

    return check_it


class TestProbe:
    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (CriticalError("is down", hint="up"), 2, "is down; up"),
            (UnknownError("cannot see", where="X"), 3, "X: cannot see"),
            (SettingsError("is empty", where="X_FILE"), 3, "X_FILE: is empty"),
            (ConnectionRefusedError(111, "refused"), 2, "[Errno 111] refused"),
            (TimeoutError(), 2, "no answer from 127.0.0.1:80 within 10 s"),
            (
                ValueError("at http://me:s3cr3t@host\nno"),
                3,
                "unexpected ValueError: at http://me:***@host no; add --verbose for details",
            ),
            (
                ImportError("No module named 'x'"),
                3,
                "No module named 'x'; pip install 'hcrun[demo]'",
            ),
            (SystemExit(0), 3, "unexpected SystemExit: 0; add --verbose for details"),
        ],
    )
    def test_errors(
        self,
        error: BaseException,
        status: int,
        words: str,
        capsysbinary: pytest.CaptureFixture[bytes],
    ) -> None:
        probe = Probe("demo", Table("", thresholds=[LATENCY]), raising(error))
        assert probe.main([]) == status
        out, err = capsysbinary.readouterr()
        word = Status(status).name
        rest = "127.0.0.1:80 answers in 1.0 ms | latency=0.001s;0.5;;0"
        assert out.decode() == f"DEMO {word} - {words}, {rest}\n"
        assert err == b""

    def test_traceback_on_demand(self, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        error = ValueError("at http://me:s3cr3t@host")
        probe = Probe("demo", Table("", thresholds=[LATENCY]), raising(error))
        assert probe.main(["--verbose"]) == 3
        out, err = capsysbinary.readouterr()
        assert out.count(b"\n") == 1
        assert err.startswith(b"Traceback")
        assert b"s3cr3t" not in out + err

    def test_thresholds(self) -> None:
        thresholds = [Threshold("a_b", "B", "1", "2", "")]
        probe = Probe("my-demo", Table("", thresholds=thresholds), lambda _: None)
        environ = {"PROBE_MY_DEMO_A_B_WARNING": "1kB"}
        source = Source(Settings(environ, {}))
        assert probe.prepare([], source).ranges["a_b"] == (Range(0, 1000), Range(0, 2))
        off = probe.prepare(["--a-b-warning", "off", "--a-b-critical", "2k"], source)
        assert off.ranges["a_b"] == (None, Range(0, 2000))


def demo(body: str, *arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    """Run a probe that does what `body` says, as its console script would."""
    program = (
        "import ctypes, os, sys, threading, time\n"
        "sys.argv[0] = 'probe-demo'\n"
        "from probes.framework.probe import *\n"
        "from probes.framework.table import LATENCY\n"
        f"def check(context):\n    {body}\n"
        "Probe('demo', Table('', thresholds=[LATENCY]), check).run()\n"
    )
    argv = [sys.executable, "-c", program, *arguments]
    if shell:
        argv = ["sh", "-c", f'exec "$@" {shell}', "sh", *argv]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)


class TestRun:
    def test_exit_status(self) -> None:
        ran = demo("context.answered(0.6)")
        assert ran.returncode == 1
        assert ran.stdout.startswith("DEMO WARNING - the service answers in 0.6 s (over 0.5 s) | ")

    def test_threads_that_stay_do_not_delay(self) -> None:
        started = time.monotonic()
        ran = demo("context.answered(0); threading.Thread(target=time.sleep, args=(9,)).start()")
        assert ran.returncode == 0
        assert time.monotonic() - started < 8

    def test_blocked_in_c(self) -> None:
        ran = demo("context.answered(0); ctypes.CDLL(None).sleep(30)", "--timeout", "0.5")
        assert ran.returncode == 2
        assert ran.stdout == (
            "DEMO CRITICAL - no answer from the service within 0.5 s, "
            "the service answers in 0 s | latency=0s;0.5;;0\n"
        )

    def test_time_up_before_anything_was_asked(self) -> None:
        ran = demo("time.sleep(30)", "--timeout", "0.5")
        assert ran.returncode == 3
        assert ran.stdout == (
            "DEMO UNKNOWN - the check did not start within 0.5 s; raise --timeout\n"
        )

    @pytest.mark.slow
    def test_setting_that_cannot_be_read_to_its_end(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "url")
        ran = Command("probe-redis", tmp_path).run(REDIS_URL_FILE=tmp_path / "url")
        assert ran.returncode == 3
        assert ran.stdout == (
            "REDIS UNKNOWN - killed by SIGALRM before it had a result; its time was up, and it did "
            "not stop: see the files that it reads\n"
        )

    def test_blocked_with_the_interpreter_locked(self) -> None:
        started = time.monotonic()
        ran = demo("ctypes.PyDLL(None).sleep(30)", "--timeout", "0.5")
        assert ran.returncode == 3
        assert time.monotonic() - started < 8
        assert ran.stdout.startswith("DEMO UNKNOWN - killed by SIGALRM before it had a result; ")

    def test_killed(self) -> None:
        ran = demo("os.kill(os.getpid(), 9)", "--json")
        assert ran.returncode == 3
        assert json.loads(ran.stdout)["status"] == "UNKNOWN"
        assert ran.stderr == ""

    def test_terminated(self) -> None:
        """The signal reaches the process that checks, and the probe still has a result."""
        ran = demo("os.kill(os.getppid(), 15); time.sleep(30)")
        assert ran.returncode == 3
        assert ran.stdout == "DEMO UNKNOWN - killed by SIGTERM before it had a result\n"

    @pytest.mark.parametrize("shell", [">&-", ">/dev/full", "| :"])
    def test_nobody_listens(self, shell: str) -> None:
        ran = demo("context.answered(2)", shell=shell)
        if shell != "| :":  # there the status is the listener's
            assert ran.returncode == 1
        assert ran.stderr == ""

    def test_interrupt(self) -> None:
        ran = demo("os.kill(os.getpid(), 2); time.sleep(5)")
        assert (ran.returncode, ran.stderr) == (-signal.SIGINT, "")


def test_without_a_thread_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    probe = Probe("thing", Table("Is it well?"), lambda _context: None)
    verdict = probe.verdict(probe.prepare([], Source(Settings({}, {}))))
    assert verdict.line() == "THING UNKNOWN - cannot start a thread; see ulimit -u"


def test_ctrl_c_while_a_probe_is_loaded_is_no_broken_installation(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os\nos.kill(os.getpid(), 2)\n")
    done = Command("probe-redis", tmp_path).run(PYTHONPATH=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
