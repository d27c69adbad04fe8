"""hcrun itself: when the command starts, what a run costs, how fast output passes.

The server is the stub of the tests; its CPU time is not counted.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measure import (
    BARE,
    Contender,
    clean_environment,
    in_turns,
    medians,
    peak_memory,
    table,
)
from tests.stub.healthchecks import Fault, HealthchecksStub, hangs

# Prints the time of its start, in nanoseconds since the epoch.
CLOCK = ["date", "+%s%N"]
GIGABYTE = "head -c 1000000000 /dev/zero"


def job_start(program: str, rounds: int = 20) -> None:
    """Measure the time from the start of hcrun to the start of the command."""
    with (
        tempfile.TemporaryDirectory() as state,
        HealthchecksStub() as stub,
        HealthchecksStub() as silent,
        HealthchecksStub() as dead,
    ):
        silent.fault = Fault(hangs)
        dead.go_down()
        env = clean_environment(state)
        hcrun = [program, "--deadline", "100ms", "job", "--", *CLOCK]
        contenders = [Contender("bare command", CLOCK, env)]
        for name, server in (("healthy", stub), ("never answers", silent), ("refuses", dead)):
            check = server.add_check()
            own = {**env, "HC_CHECK_JOB": f"{server.ping_url}/{check.uuid}"}
            contenders.append(Contender(f"hcrun, server {name}", hcrun, own, "at most 2"))
        off = {**env, "HEALTHCHECKS_ENABLED": "false"}
        contenders.append(Contender("hcrun, no server", hcrun, off, "at most 2"))
        costs = in_turns([Contender("unit", BARE, env), *contenders], rounds)
    unit = medians(costs, "wall")["unit"]
    rows = [
        (c.name, median(int(x.stdout) / 1e9 - x.began for x in costs[c.name]), c.goal)
        for c in contenders
    ]
    table("Time until the command starts", rows, unit, "interpreter starts")


def whole_run(hcrun: str, rounds: int = 30) -> None:
    """Measure CPU and wall time of a run with both pings and the journal."""
    with tempfile.TemporaryDirectory() as state:
        key, cert = _certificate(Path(state))
        with HealthchecksStub() as stub, HealthchecksStub(certfile=cert, keyfile=key) as tls:
            env = clean_environment(state) | {"SSL_CERT_FILE": cert, "CURL_CA_BUNDLE": cert}
            contenders = [Contender("bare command (true)", ["true"], env)]
            for name, server, goal in (
                ("http", stub, "at most 1.9"),
                ("https", tls, "at most 2.7"),
            ):
                check = server.add_check()
                url = f"{server.ping_url}/{check.uuid}"
                contenders += [
                    Contender(f"hcrun, {name}", [hcrun, url, "--", "true"], env, goal),
                    Contender(f"hcrun of pip, {name}", [f"{hcrun}-pip", url, "--", "true"], env),
                    *_rivals(name, server.ping_url, check.uuid, env),
                ]
            costs = in_turns([Contender("unit", BARE, env), *contenders], rounds)
    for what in ("cpu", "wall"):
        seconds = medians(costs, what)
        goals = {c.name: c.goal if what == "cpu" else "" for c in contenders}
        rows = [(c.name, seconds[c.name], goals[c.name]) for c in contenders]
        title = {"cpu": "CPU of a whole run", "wall": "Wall time of a whole run"}[what]
        table(title, rows, seconds["unit"], "interpreter starts")


def _rivals(name: str, ping_url: str, uuid: str, env: dict[str, str]) -> Iterator[Contender]:
    """What a user would take instead; runitor if it is on PATH."""
    curl = f"curl -fsS -m 10 -o /dev/null -X POST {ping_url}/{uuid}"
    yield Contender(f"curl; job; curl, {name}", ["sh", "-c", f"{curl}/start; true; {curl}"], env)
    if runitor := shutil.which("runitor"):
        argv = [runitor, "-api-url", ping_url, "-uuid", uuid, "--", "true"]
        yield Contender(f"runitor, {name}", argv, env)


def gigabyte(hcrun: str, rounds: int = 7) -> None:
    """Measure the wall time of 1 GB of output, and hcrun's peak memory."""
    with tempfile.TemporaryDirectory() as state:
        env = clean_environment(state, HEALTHCHECKS_ENABLED="false")
        command = f"{hcrun} job -- {GIGABYTE}"
        contenders = [
            Contender("command | cat", ["sh", "-c", f"{GIGABYTE} | cat >/dev/null"], env),
            Contender("hcrun", ["sh", "-c", f"{command} >/dev/null"], env, "at most 1"),
            Contender(
                "command | cat | cat", ["sh", "-c", f"{GIGABYTE} | cat | cat >/dev/null"], env
            ),
            Contender("hcrun | cat", ["sh", "-c", f"{command} | cat >/dev/null"], env),
        ]
        costs = in_turns(contenders, rounds)
        seconds = medians(costs, "wall")
        memory = peak_memory([hcrun, "job", "--", *GIGABYTE.split()], env)
    rows = [(c.name, seconds[c.name], c.goal) for c in contenders]
    table("1 GB of output", rows, seconds["command | cat"], "of command | cat")
    print(f"  hcrun's peak memory: {memory / 1e6:.1f} MB, goal: under 25")


def _certificate(directory: Path) -> tuple[str, str]:
    key, cert = str(directory / "key.pem"), str(directory / "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=IP:127.0.0.1"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return key, cert
