"""`hcctl drill`: tries out what is needed on the day on which the server is lost."""

import glob
import os
import shlex
import signal
import subprocess
import time
from functools import partial

import click

from hcrun.errors import HcrunError
from hcrun.settings import refused
from hcrun.text import counted
from hcrun.units import span

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
    """Try out that a backup of the server can be restored."""


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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # for `finally`
    dump = _newest(path)
    run = partial(_run, command)
    age, started = time.time() - os.stat(dump).st_mtime, time.monotonic()
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
    if lost := [name for name, n, m in rows[:2] if m and not n]:
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
