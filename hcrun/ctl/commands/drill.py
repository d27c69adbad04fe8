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
    "docker compose -f /srv/healthchecks/compose.yaml exec -T -e PGUSER=hc -e PGDATABASE=hc db"
)
SCRATCH = "hcrun_restore_drill"
COUNTED = ("check", "channel", "ping")
QUERY = (
    "SELECT (SELECT count(*) FROM api_check), (SELECT count(*) FROM api_channel),"
    " (SELECT count(*) FROM api_ping)"
)
_PATIENCE = 3000.0  # seconds for one program
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
    """Restore a dump of the server's database into a scratch database, and count what is in it.

    PATH is a dump of pg_dump --format=custom, or a directory with dumps (*.dump), of which the
    newest is taken. [default: /var/backups/healthchecks, where the check healthchecks-backup of the
    built-in catalogue writes them]

    The scratch database hcrun_restore_drill is on the same PostgreSQL as the server's database and
    is dropped in the end. The server's own database is only read. Exit status 1 if the dump cannot
    be restored, or has no checks or channels although the server has some.

    \b
    Examples:
      hcrun restore-drill -- hcctl drill restore
      hcctl drill restore /var/backups/healthchecks/Mon.dump
      hcctl drill restore /srv/dumps --run "env PGHOST=db PGUSER=hc PGDATABASE=hc"
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # for `finally`
    dump = _newest(path)
    run = partial(_run, command)
    age, started = time.time() - os.stat(dump).st_mtime, time.monotonic()
    busy = "another drill may be in progress; else give --run (docs/server.md, Backup)"
    run("dropdb", "--if-exists", SCRATCH, hint=busy)
    run("createdb", "--template=template0", SCRATCH, hint=busy)
    try:
        to = f"--dbname={SCRATCH}"
        run("pg_restore", to, "--no-owner", "--no-acl", "--exit-on-error", dump=dump)
        restored = _counts(run("psql", "-AtX", to, f"-c{QUERY}", hint=_NO_RESTORE))
        there = _counts(run("psql", "-AtX", f"-c{QUERY}", hint="check PGDATABASE in --run"))
    finally:
        run("dropdb", "--if-exists", "--force", SCRATCH, hint=f"drop the database {SCRATCH}")
    seconds = span(time.monotonic() - started)
    counts = ", ".join(
        f"{counted(n, name)} (the server has {there[name]})" for name, n in restored.items()
    )
    click.echo(f"{dump}, made {span(age)} ago, is restored in {seconds}: {counts}")
    if lost := [name for name in ("check", "channel") if there[name] and not restored[name]]:
        raise HcrunError(f"has no {' and no '.join(lost)}", where=dump, hint=_NO_RESTORE)


def _newest(path: str) -> str:
    """The dump at this path. Raises HcrunError if there is none that this user may restore."""
    found = [path]
    if os.path.isdir(path):
        found = glob.glob(os.path.join(glob.escape(path), "*.dump"))
    if not found or not os.path.isfile(found[0]):
        hint = "see hcctl history healthchecks-backup --output last; docs/server.md, Backup"
        raise HcrunError("there is no dump", where=path, hint=hint)
    newest = max(found, key=os.path.getmtime)
    if refusal := refused(newest):  # a dump is SQL that runs with the rights of the server
        raise HcrunError(refusal[0], where=newest, hint=refusal[1])
    return newest


def _counts(line: str) -> dict[str, int]:
    return dict(zip(COUNTED, map(int, line.split("|")), strict=True))


def _run(command: str, program: str, *arguments: str, hint: str = "", dump: str = "") -> str:
    """What a program of PostgreSQL prints; `dump` is its input. Raises HcrunError."""
    try:
        argv = [*shlex.split(command), program, *arguments]
        with open(dump or os.devnull, "rb") as file:
            done = subprocess.run(
                argv, stdin=file, capture_output=True, timeout=_PATIENCE, check=False
            )
    except (OSError, ValueError) as error:
        hint = "give --run, the command that runs the programs of PostgreSQL"
        raise HcrunError(f"{program} cannot run: {error}", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise HcrunError(f"{program} took longer than {span(_PATIENCE)}", hint=hint) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        said = next((line for line in lines if "error:" in line.lower()), lines[-1])
        what = f"{program}: exit status {done.returncode}: {said.removeprefix(f'{program}: ')}"
        raise HcrunError(what, where=dump, hint=hint or _NO_RESTORE)
    return done.stdout.decode(errors="replace")
