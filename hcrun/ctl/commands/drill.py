"""`hcctl drill`: tries out alerts, outages, load, and what is needed once the server is lost."""

import glob
import os
import secrets
import shlex
import signal
import subprocess
import time
from functools import partial
from urllib.parse import urlsplit

import click

from hcrun.alerts import drills
from hcrun.alerts import load as loads
from hcrun.catalog import SYSTEM
from hcrun.catalog import load as load_catalog
from hcrun.ctl.connect import connect
from hcrun.ctl.options import confirm
from hcrun.ctl.table import options
from hcrun.errors import HcrunError, UsageError
from hcrun.settings import Settings, refused
from hcrun.text import counted, listed
from hcrun.units import span

_LONGEST_LOAD = 600.0  # seconds
DUMPS = "/var/backups/healthchecks"
COMMAND = (
    "docker compose -f /srv/healthchecks/compose.yaml exec -T"
    " -e PGUSER=healthchecks -e PGDATABASE=healthchecks healthchecks-db"
)
SCRATCH = "hcrun_restore_drill"
COUNTED = ("check", "channel", "ping")
QUERY = [f"-cSELECT count(*) FROM api_{table}" for table in COUNTED]
_NO_RESTORE = (
    "the server cannot be restored from this dump: make a new one now (docs/server.md, Backup)"
    " and try an older one: hcctl drill restore FILE"
)


@click.group()
def drill() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # for `finally`


@drill.command(short_help="Fail a check on purpose, and measure its alerts.")
@click.argument("check")
@options("patience", "drill")
def alert(check: str, patience: float, yes: bool) -> None:
    if not yes:
        confirm(f"Fail {check} now? Its channels send a real alert.", "alert")
    _show(drills.alert(connect(), Settings.load(), check, patience, click.echo))


@drill.command(short_help="Stop a service, and measure when its check is down and up.")
@click.argument("check")
@click.argument("commands", nargs=-1, required=True, metavar="-- STOP... -- START...")
@options("patience", "drill")
def outage(check: str, commands: tuple[str, ...], patience: float, yes: bool) -> None:
    words = list(commands)
    if "--" not in words[1:-1]:
        raise UsageError("missing START", hint="write -- STOP-COMMAND -- START-COMMAND")
    middle = words.index("--", 1)
    stop, start = words[:middle], words[middle + 1 :]
    if not yes:
        confirm(f"Run {shlex.join(stop)}, later {shlex.join(start)}?", "stop the service")
    _show(drills.outage(connect(read_only=True), check, stop, start, patience, click.echo))


@drill.command(short_help="Ping a server as many hosts would.")
@click.argument("url", metavar="PING_URL")
@options("drill load", "drill")
def load(url: str, hosts: int, every: float, length: float, yes: bool) -> None:
    if not yes and not loads.is_loopback(url):
        confirm("This server is on another host. Load it?", "load a server on another host")
    at, found = time.time(), loads.ping(url, hosts, every, min(length, _LONGEST_LOAD))
    sent = len(found.latencies) + found.refused.total()
    refused = [f"{n} x {what}" for what, n in sorted(found.refused.items())]
    text = (
        f"{sent} pings in {span(found.took)} ({sent / found.took:.1f}/s of {hosts / every:.1f}/s):"
        f" p50 {span(found.quantile(0.5))}, p99 {span(found.quantile(0.99))},"
        f" {listed(refused) if refused else 'none refused'}"
    )
    label = f"load {urlsplit(url).hostname}"
    _show(drills.keep(drills.Result(label, at, found.took, not refused, text)))


@drill.command(name="random", short_help="Do one of the drills of the catalogue.")
@options("catalog", "drill")
def random_(catalog: str, yes: bool) -> None:
    known = load_catalog(catalog, obeyed=True).drills
    if not known:
        hint = 'add [drills] with lines such as pager = "alert redis"'
        raise HcrunError("the catalogue allows no drills", where=catalog or SYSTEM, hint=hint)
    name = secrets.choice(sorted(known))
    if not yes:
        confirm(f"Do {name}, hcctl drill {known[name]}?", "do it")
    click.echo(f"{name}: hcctl drill {known[name]}")
    kind, *words = shlex.split(known[name])
    asked = ["--yes"] if kind != "restore" else []
    drill.main([kind, *asked, *words], prog_name="hcctl drill", standalone_mode=False)


def _show(result: drills.Result) -> None:
    click.echo(f"{result.drill}: {result.text}, {span(result.seconds)} in all")
    if not result.good:
        raise HcrunError(f"{result.drill}: the drill has failed", hint="see above")


@drill.command(short_help="Restore the newest dump into a scratch database.")
@click.argument("path", default=DUMPS)
@click.option(
    "--run",
    "command",
    metavar="COMMAND",
    default=COMMAND,
    show_default=True,
    help="What runs the programs of PostgreSQL; env for those of this host. PGUSER needs CREATEDB,"
    " PGDATABASE is the server's database.",
)
def restore(path: str, command: str) -> None:
    dump = _newest(path)
    run = partial(_run, command)
    at, started = time.time(), time.monotonic()
    age = at - os.stat(dump).st_mtime
    busy = "another drill may be in progress; else give --run (docs/server.md, Backup)"
    run("dropdb", "--if-exists", SCRATCH, hint=busy)
    to = f"--dbname={SCRATCH}"
    try:
        run("createdb", "--template=template0", SCRATCH, hint=busy)
        run("pg_restore", to, "--no-owner", "--no-acl", "--exit-on-error", dump=dump)
        restored = run("psql", "-AtX", to, *QUERY, hint=_NO_RESTORE).split()
        there = run("psql", "-AtX", *QUERY, hint="check PGDATABASE in --run").split()
    finally:
        run("dropdb", "--if-exists", "--force", SCRATCH, hint=f"drop the database {SCRATCH}")
    rows = [(name, int(n), int(m)) for name, n, m in zip(COUNTED, restored, there, strict=True)]
    counts = ", ".join(f"{counted(n, name)} (the server has {m})" for name, n, m in rows)
    took = span(time.monotonic() - started)
    click.echo(f"{dump}, made {span(age)} ago, is restored in {took}: {counts}")
    lost = [name for name, n, m in rows[:2] if m and not n]
    text = f"no {' and no '.join(lost)} in it" if lost else f"restored in {took}: {counts}"
    drills.keep(drills.Result("restore", at, time.monotonic() - started, not lost, text))
    if lost:
        raise HcrunError(f"has no {' and no '.join(lost)}", where=dump, hint=_NO_RESTORE)


def _newest(path: str) -> str:
    """The dump at this path. Raises HcrunError if there is none that this user may restore."""
    inside = glob.glob(os.path.join(glob.escape(path), "*.dump"))
    dump = max(inside, key=os.path.getmtime, default=path)
    if not os.path.isfile(dump):
        hint = "see hcctl history healthchecks-backup --output last; docs/server.md, Backup"
        raise HcrunError("there is no dump", where=path, hint=hint)
    if refusal := refused(dump):  # it is SQL that runs with the rights of the server
        raise HcrunError(refusal[0], where=dump, hint=refusal[1])
    return dump


def _run(command: str, program: str, *arguments: str, hint: str = "", dump: str = "") -> str:
    """What a program of PostgreSQL prints; `dump` is its input. Raises HcrunError."""
    try:
        argv = [*shlex.split(command), program, *arguments]
        with open(dump or os.devnull, "rb") as file:
            done = subprocess.run(argv, stdin=file, capture_output=True, check=False)
    except (OSError, ValueError) as error:
        hint = "give --run, the command that runs the programs of PostgreSQL"
        raise HcrunError(f"{program} cannot run: {error}", hint=hint) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        said = next((line for line in lines if "error:" in line.lower()), lines[-1])
        what = f"{program}: exit status {done.returncode}: {said.removeprefix(f'{program}: ')}"
        raise HcrunError(what, where=dump, hint=hint or _NO_RESTORE)
    return done.stdout.decode(errors="replace")
