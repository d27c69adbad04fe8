"""A real cron and a real systemd, on machines of their own, run what `hcctl install` gave them.

Both are started at once, so that their minute is the same one.
"""

import json
import re
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.machine import Machine, installation, machine, skip_unless_possible
from tests.stub.healthchecks import Check, HealthchecksStub
from tests.support import scheduled_jobs
from tests.support.command import run_hcctl, wait_until
from tests.support.crontab_lines import ROOT, Line, documented

pytestmark = pytest.mark.slow

KEY = "pingkey0pingkey0pingke"
KEY_NAME = "HEALTHCHECKS_PING_KEY"


def table(slug: str, **keys: object) -> str:
    """A check as checks.toml has it; JSON's strings and arrays are those of TOML."""
    lines = [f"[checks.{slug}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


OFTEN = {"every": "30s", "timeout": "29s", "grace": "1m"}  # leaves no room for a delay
PRINT = """id -un; printf '%s\\n' "100% it's" "$1" 'a\\\\b' "$(date +%Y)" """
CRON = table("nobody", **OFTEN, user="nobody", command=["sh", "-c", PRINT, "sh", "%\\%"])
CRON += table("probe", every="1m", timeout="59s", grace="1m", command="probe-look")
WORDS = ["", "%i", "$HOME", "a b", ";", '"', "\\", "'", "ä"]
HANG = ["sh", "-c", "echo working on it; sleep 60"]
BY_HAND: dict[str, dict[str, object]] = {
    "look": {"command": "probe-look"},
    "slow": {"command": HANG, "timeout": "1s"},
    "stuck": {"command": HANG},
    "words": {"command": ["printf", "[%s]", *WORDS]},
    "failed": {"command": ["sh", "-c", "exit 3"]},
    "warned": {"command": ["sh", "-c", "exit 1"], "options": "--on-exit 1=log"},
    "killed": {"command": ["sh", "-c", "kill -9 $PPID"]},
    "missing": {"command": "true"},
    "misused": {"command": "true"},
    "bare": {"command": "true"},
}
SYSTEMD = table("marks", **OFTEN, user="hcrun", command="true") + "".join(
    table(slug, every="1d", **keys) for slug, keys in BY_HAND.items()
)
# Jobs that cron and systemd run as they are. `hcctl import` makes checks of those with new for old.
OLD_CRONTAB = r"""
SHELL=/bin/bash
OUT=/var/tmp/old
WORDS=it's "two words"
HOME=/usr/share
* * * * * nobody (id -un; pwd; echo "$WORDS" $HOME $0) > $OUT-id
* * * * * root cat > $OUT-cat%Dear root,%100\% full%\\ end
* * * * * root sed 's/x/[\%s]/' <<< "a x $(date +\%Y) '$WORDS'" > $OUT-sed &
* * * * * root . /etc/os-release; seq 2 > $OUT-seq; basename /a/$ID >> $OUT-seq 2>&1
"""
IMPORTED = ("id", "cat", "sed", "seq")
OLD_TIMER = "[Timer]\nOnCalendar=2099-01-01\n"
OLD_SERVICE = r"""
[Service]
Type=oneshot
User=nobody
WorkingDirectory=/usr/share
Environment=A=1 "WORDS=two words" OUT=/var/tmp/old-%p
ExecStart=/bin/sh -c 'printf "[%%s]" "$@" "$(pwd)" $A > $OUT' sh $WORDS "${WORDS}" x$A \
  'a\x20b' $$A \
  # not this
  'it\'s' ";" \; %%i
ExecStart=/bin/sh -c "echo \"$USER ${A}\" >> $OUT" ; /bin/true
SuccessExitStatus=3
"""
OVERRIDES = {
    "stuck": "TimeoutStartSec=1",
    "missing": "ExecStart=\nExecStart=/nowhere/hcrun",
    "misused": "ExecStart=\nExecStart=/opt/hcrun/bin/hcrun --bogus misused -- true",
    "bare": "Environment=HEALTHCHECKS_ENABLED=false",
}
# Says who it is, which secrets are in its environment, and where it can write.
LOOK = """\
#!/bin/sh
id -un
env | grep PINGKEY
mkdir -p "$STATE_DIRECTORY" 2>/dev/null  # else hcrun makes it, meanwhile
for path in /etc /usr /var /tmp /root /home "$STATE_DIRECTORY"; do
    touch "$path/look" 2>/dev/null && echo "$path"
done
stat -c '%A %U' "${HCRUN_ENV_FILE:-/etc/hcrun/hcrun.env}"
"""
# A log that is as short as it can be, and a crontab without mails, of a check that does not exist.
LOG = """\
import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
with open("/var/log/syslog", "w") as file:
    while True:
        print(log.recv(10000).decode().partition(">")[2], file=file, flush=True)
"""
QUIET = 'MAILTO=""\n* * * * * root /opt/hcrun/bin/hcrun absent -- true\n'
# curl, which tells the journal how it was called.
CURL = "#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline\nexec /usr/bin/curl \"$@\"\n"

# The crontab lines of the pages. What the services' hosts have is made up; hcrun is ours.
DOCUMENTED = documented()
SAYS = '#!/bin/sh\nprintf \'%s\\n\' "${0##*/}" "$@"\n'
(OWN_SERVICE,) = re.findall("```ini\n(.*?)```", (ROOT / "docs/systemd.md").read_text(), re.DOTALL)
TEXTFILES = "var/lib/prometheus/node-exporter"
LAUNCHED = ("/opt/hcrun/bin/hcrun", "/opt/hcrun/bin/hcctl")
CRON_STARTS = f"""
set -e
/opt/hcrun/bin/python /usr/local/lib/log.py &
/opt/hcrun/bin/hcctl install crontab --yes
crontab -u hcrun /etc/users-crontab
chown hcrun /{TEXTFILES} /var/lib/hcrun-hcrun
exec cron -f
"""


@dataclass
class World:
    stub: HealthchecksStub
    cron: Machine
    systemd: Machine

    def check(self, slug: str) -> Check:
        return self.stub.by_slug(slug)

    def body(self, slug: str, number: int = -1) -> str:
        return self.check(slug).pings[number].body.decode()

    def kinds(self, slug: str) -> list[str]:
        return [ping.kind for ping in self.check(slug).pings]

    def timers(self) -> set[str]:
        """Those that wait, of ours."""
        shown = self.systemd.run("systemctl", "list-timers", "--no-legend").stdout
        return {word for word in shown.split() if re.fullmatch(r"hcrun.*\.timer", word)}

    def start(self, unit: str) -> int:
        """The exit status of systemctl, after the run."""
        return self.systemd.run("systemctl", "start", unit, check=False).returncode


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    skip_unless_possible()
    tmp_path = tmp_path_factory.mktemp("machines")
    opt = installation(tmp_path / "opt")
    (opt / "bin/probe-look").write_text(LOOK)
    for probe in {line.job[0] for line in DOCUMENTED if "probe-" in line.command}:
        (opt / "bin" / probe).write_text(SAYS)
    for program in (opt / "bin").glob("probe-*"):
        program.chmod(0o755)
    with ExitStack() as stack:
        stub = stack.enter_context(HealthchecksStub(ping_key=KEY))
        old = {"jobs": OLD_CRONTAB, "old.timer": OLD_TIMER, "old.service": OLD_SERVICE}
        for name, text in old.items():
            (tmp_path / name).write_text(text.replace("/old", "/new"))
        cron_jobs, timers = (_imported(tmp_path, name) for name in ("jobs", "old.timer"))
        for slug in [*IMPORTED, "old"]:
            stub.add_check(slug)
        for slug in {"nobody", "probe", "marks", *BY_HAND, *(line.slug for line in DOCUMENTED)}:
            stub.add_check(slug)
        cron = stack.enter_context(
            machine(
                tmp_path / "cron",
                {
                    "etc/hcrun/checks.toml": CRON + cron_jobs,
                    "etc/cron.d/old": OLD_CRONTAB,
                    "etc/hcrun/hcrun.env": _settings(stub) + f"HEALTHCHECKS_PING_KEY={KEY}\n",
                    "etc/hcrun/watch.env": _settings(stub) + f"HEALTHCHECKS_PING_KEY={KEY}\n",
                    "etc/cron.d/documented": _every_minute(
                        line for line in DOCUMENTED if line.user
                    ),
                    "etc/users-crontab": _every_minute(
                        line for line in DOCUMENTED if not line.user
                    ),
                    "usr/local/bin/backup.sh": SAYS,
                    **scheduled_jobs.programs(),
                    **dict.fromkeys((f"{TEXTFILES}/README", "var/lib/hcrun-hcrun/README"), ""),
                    "etc/cron.d/quiet": QUIET,
                    "usr/local/lib/log.py": LOG,
                    **_users(),
                },
                opt,
                *("/bin/sh", "-c", CRON_STARTS),
            )
        )
        systemd = stack.enter_context(_systemd(tmp_path / "systemd", stub, opt, timers))
        yield World(stub, cron, systemd)


def _imported(directory: Path, name: str) -> str:
    return run_hcctl(directory, "import", str(directory / name)).stdout


def _every_minute(lines: Iterable[Line]) -> str:
    return "".join(f"* * * * * {line.user} {line.command}\n" for line in lines)


def _settings(stub: HealthchecksStub) -> str:
    return f"HEALTHCHECKS_PING_URL={stub.ping_url}\n"


def _users() -> dict[str, str]:
    """Those of this host, and hcrun."""
    passwd, group = (Path(f"/etc/{name}").read_text() for name in ("passwd", "group"))
    return {
        "etc/passwd": passwd + "hcrun:*:699:699::/var/lib/hcrun-hcrun:/usr/sbin/nologin\n",
        "etc/group": group + "hcrun:x:699:\n",
    }


@contextmanager
def _systemd(base: Path, stub: HealthchecksStub, opt: Path, more: str) -> Iterator[Machine]:
    """A machine with systemd and nothing to do but our units, which are installed."""
    units = "etc/systemd/system"
    idle = [
        *Path(f"/{units}").glob("*.wants/*.timer"),
        *Path("/lib").glob("systemd/system/*.timer"),
    ]
    masked = {"systemd-tmpfiles-setup.service", *(path.name for path in idle)}
    files = {
        f"{units}/test.target": "[Unit]\nRequires=basic.target\nAfter=basic.target\n",
        **{f"{units}/{name}": "" for name in masked},
        **{
            f"{units}/hcrun-job@{slug}.service.d/override.conf": f"[Service]\n{text}\n"
            for slug, text in OVERRIDES.items()
        },
        "etc/hcrun/checks.toml": SYSTEMD + more,
        f"{units}/old.service": OLD_SERVICE,
        "etc/hcrun/hcrun.env": _settings(stub)
        + f"HC_CHECK_MISUSED={stub.by_slug('misused').uuid}\n",
        "etc/credstore/healthchecks_ping_key": f"{KEY}\n",
        f"{units}/own.service": OWN_SERVICE + "LoadCredential=healthchecks_ping_key\n",
        "usr/local/bin/backup.sh": SAYS,
        "usr/local/bin/curl": CURL,
        **_users(),
    }
    argv = ["/lib/systemd/systemd", "--system", "--unit=test.target"]
    with machine(base, files, opt, *argv, own_cgroup=True) as inside:
        ready = ["systemctl", "is-active", "test.target"]
        wait_until(lambda: inside.run(*ready, check=False).returncode == 0, "systemd has booted")
        inside.run("chmod", "600", "/etc/hcrun/hcrun.env", "/etc/credstore/healthchecks_ping_key")
        inside.run("/opt/hcrun/bin/hcctl", "install", "systemd", "--yes")
        yield inside


def output(body: str) -> str:
    """What the command printed, of the text of a ping."""
    return body.partition("\n\n")[2]


# systemd


def test_install_tells_systemd(world: World) -> None:
    timers = world.timers()
    assert len(timers) == len(BY_HAND) + 2
    assert {"hcrun-probe@look.timer", "hcrun-job@marks.timer"} < timers
    assert world.systemd.run("systemctl", "is-enabled", "hcrun.target").stdout == "enabled\n"


def test_a_probe_is_in_its_sandbox(world: World) -> None:
    """And has its credentials, which nobody else can read, and which no child is given."""
    assert world.start("hcrun-probe@look") == 0
    assert world.kinds("look") == ["start", "success"]
    assert output(world.body("look")) == (
        "hcrun\n/tmp\n/var/lib/hcrun-hcrun/.local/state/hcrun\n-r-------- hcrun"
    )
    as_hcrun = ["runuser", "-u", "hcrun", "--", "env", "HOME=/var/lib/hcrun-hcrun"]
    history = world.systemd.run(*as_hcrun, "/opt/hcrun/bin/hcctl", "history", "look").stdout
    assert "  look  success  exit status 0 " in history


def test_a_service_of_ones_own(world: World) -> None:
    """As docs/systemd.md has it, with its credential."""
    assert world.start("own") == 0
    assert world.kinds("backup")[:2] == ["start", "success"]


def test_without_settings_it_runs(world: World) -> None:
    world.systemd.run("mv", "/etc/hcrun/hcrun.env", "/etc/hcrun/away")
    try:
        assert world.start("hcrun-job@bare") == 0
    finally:
        world.systemd.run("mv", "/etc/hcrun/away", "/etc/hcrun/hcrun.env")


@pytest.mark.parametrize(
    ("slug", "why"),
    [("slow", "FAILED: timed out (--timeout 1 s)"), ("stuck", "FAILED: killed by SIGTERM")],
)
def test_a_job_over_its_time_is_reported(world: World, slug: str, why: str) -> None:
    assert world.start(f"hcrun-job@{slug}") == 1
    assert world.kinds(slug)[:2] == ["start", "fail"]
    body = world.body(slug, 1)
    assert body.endswith("\nworking on it")
    assert body.startswith(why)


def test_arguments_arrive_as_they_are(world: World) -> None:
    assert world.start("hcrun-job@words") == 0
    assert "".join(f"[{word}]" for word in WORDS) in world.body("words")


@pytest.mark.parametrize(
    ("slug", "ending"),
    [
        ("killed", ": result signal, killed KILL"),
        ("missing", ", or its command has that status: result exit-code, exited 203"),
        ("misused", ", or its command has that status: result exit-code, exited 125"),
    ],
)
def test_the_back_stop_reports(world: World, slug: str, ending: str) -> None:
    assert world.start(f"hcrun-job@{slug}") == 1
    world.stub.wait_until(lambda: "fail" in world.kinds(slug), 20)
    assert world.body(slug) == (f"hcrun failed{ending}; see journalctl -u hcrun-job@{slug}.service")
    journal = ["journalctl", "-o", "cat", "-u", f"hcrun-failed@{slug}"]
    wait_until(lambda: "curl" in world.systemd.run(*journal).stdout, "it is in the journal")
    called = world.systemd.run(*journal).stdout
    assert "/usr/local/bin/curl -fsS " in called
    assert KEY not in called
    assert world.check(slug).uuid not in called


@pytest.mark.parametrize(("slug", "kinds"), [("failed", ["start", "fail"]), ("warned", ["log"])])
def test_the_back_stop_is_silent(world: World, slug: str, kinds: list[str]) -> None:
    """What hcrun has reported is not reported again, nor made worse."""
    assert world.start(f"hcrun-job@{slug}") == 1
    ended = ["systemctl", "show", "-P", "ExecMainExitTimestampMonotonic", f"hcrun-failed@{slug}"]
    wait_until(lambda: world.systemd.run(*ended).stdout.strip() != "0", "it was started")
    assert world.kinds(slug) == kinds


def test_an_imported_timer_runs_what_systemd_ran(world: World) -> None:
    assert (world.start("old"), world.start("hcrun-job@old")) == (0, 0)
    assert world.kinds("old") == ["start", "success"]
    printed = [world.systemd.run("cat", f"/var/tmp/{name}-old").stdout for name in ("old", "new")]
    assert printed[0] == printed[1]
    assert printed[0].startswith(
        "[two][words][two words][x$A][a b][$A][it's][;][;][%i][/usr/share]"
    )


def test_a_timer_is_on_its_marks(world: World) -> None:
    first, second, *_ = world.stub.wait_for(world.check("marks"), 2, timeout=80)
    assert (first.kind, second.kind) == ("success", "success")
    assert first.received_wall % 30 < 10
    assert 20 < second.received - first.received < 40


def doctor(inside: Machine) -> dict[str, str]:
    """What it finds wrong with that host, and how to correct it."""
    done = inside.run("/opt/hcrun/bin/hcctl", "doctor", "--json", check=False)
    found = json.loads(done.stdout)["findings"]
    wrong = [one for one in found if one["section"] == "this host"]
    return {one["what"]: one["fix"] for one in wrong if one["severity"] in ("error", "warning")}


def test_doctor_and_a_timer_that_is_stopped(world: World) -> None:
    """The ping key of the units is a credential, so no job is without one."""
    before = doctor(world.systemd)
    wrong = ("inactive", KEY_NAME, "ping key")
    assert not any(word in what for what in before for word in wrong), before
    timers = ["hcrun-job@failed.timer", "hcrun-job@words.timer"]
    world.systemd.run("systemctl", "stop", *timers)
    stopped = f"2 timers inactive: {', '.join(timers)}"
    found = doctor(world.systemd)
    assert found == before | {stopped: f"systemctl start {' '.join(timers)}"}
    world.systemd.run(*found[stopped].split())
    assert doctor(world.systemd) == before


def test_doctor_and_a_key_that_is_gone(world: World) -> None:
    key = "/etc/credstore/healthchecks_ping_key"
    world.systemd.run("mv", key, "/etc/hcrun/away")
    try:
        (found,) = (what for what in doctor(world.systemd) if KEY_NAME in what)
    finally:
        world.systemd.run("mv", "/etc/hcrun/away", key)
    assert "hcrun-job@failed.timer" in found
    assert found.endswith(f": it has neither {KEY_NAME} nor a UUID of its check")


def test_doctor_and_a_drop_in_that_was_edited(world: World) -> None:
    path = "/etc/systemd/system/hcrun-job@words.service.d/job.conf"
    world.systemd.run("sh", "-c", f"cp {path} /run/kept && echo Nice=5 >> {path}")
    try:
        found = doctor(world.systemd)
    finally:
        world.systemd.run("mv", "/run/kept", path)
    assert f"changed by hand since hcctl installed it: {path}" in found


def test_doctor_and_a_cron_that_is_not_running(world: World) -> None:
    assert not any("cron is not running" in what for what in doctor(world.cron))
    line = "* * * * * root /opt/hcrun/bin/hcrun look -- true"
    world.systemd.run("sh", "-c", f"echo '{line}' > /etc/cron.d/mine")
    try:
        found = doctor(world.systemd)
    finally:
        world.systemd.run("rm", "/etc/cron.d/mine")
    what = "cron is not running: 1 crontab line of hcrun will not run"
    assert found[what] == "systemctl enable --now cron"


def test_an_old_systemd(world: World) -> None:
    world.systemd.run("sh", "-c", "echo '#!/bin/sh\necho systemd 249' > /run/systemctl")
    world.systemd.run("chmod", "755", "/run/systemctl")
    install = ["env", "PATH=/run:/bin", "/opt/hcrun/bin/hcctl", "install", "systemd"]
    done = world.systemd.run(*install, check=False)
    why = "systemd 249 is too old for these units, which need 251; use hcctl install crontab"
    assert (done.returncode, done.stderr) == (1, f"hcctl: {why}\n")


def test_units_of_checks_that_are_gone(world: World) -> None:
    catalog = SYSTEMD.replace("[checks.words]", "[checks.renamed]")
    world.systemd.run("sh", "-c", 'printf %s "$1" > /etc/hcrun/checks.toml', "sh", catalog)
    world.systemd.run("/opt/hcrun/bin/hcctl", "install", "systemd", "--yes")
    assert "hcrun-job@renamed.timer" in world.timers()
    assert "hcrun-job@words.timer" not in world.timers()
    done = world.systemd.run("/opt/hcrun/bin/hcctl", "install", "systemd", "--uninstall", "--yes")
    assert done.stdout.endswith(
        "\nsystemctl disable --now hcrun.target\n"
        "/etc/systemd/system: 0 written, 26 deleted\n"
        "systemctl daemon-reload\n"
    )
    assert world.timers() == set()
    left = world.systemd.run("ls", "/etc/systemd/system").stdout.split()
    own = [f"hcrun-job@{slug}.service.d" for slug in sorted(OVERRIDES)]
    assert [name for name in left if name.startswith("hcrun")] == own


# cron


def test_cron_runs_what_was_rendered(world: World) -> None:
    """As its user; %, quotes and backslashes are what they were; the second half minute, too."""
    first, second, *_ = world.stub.wait_for(world.check("nobody"), 2, timeout=130)
    assert 20 < second.received - first.received < 40
    for ping in (first, second):
        assert ping.kind == "success"
        year = time.strftime("%Y", time.localtime(ping.received_wall))
        lines = output(ping.body.decode()).splitlines()
        assert lines == ["nobody", "100% it's", "%\\%", r"a\\b", year]


def test_imported_jobs_run_what_cron_ran(world: World) -> None:
    world.stub.wait_until(lambda: all("success" in world.kinds(slug) for slug in IMPORTED), 130)
    for slug in IMPORTED:
        old, new = (world.cron.run("cat", f"/var/tmp/{n}-{slug}").stdout for n in ("old", "new"))
        assert old == new != ""


def test_cron_finds_the_probes(world: World) -> None:
    (ping, *_) = world.stub.wait_for(world.check("probe"), 1, timeout=130)
    assert ping.kind == "success"
    assert output(ping.body.decode()).startswith("hcrun\n")


def recorded(inside: Machine, user: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The runs of a user by check and command."""
    home = {"root": "/root", "hcrun": "/var/lib/hcrun-hcrun"}[user]
    history = ["/opt/hcrun/bin/hcctl", "history", "--json", "-n", "1000"]
    done = inside.run("runuser", "-u", user, "--", "env", f"HOME={home}", *history, check=False)
    runs = json.loads(done.stdout or "[]")
    return {(run["check"], run["command"]): run for run in runs if run["result"]}


def test_cron_runs_every_line_of_the_pages(world: World) -> None:
    """As it stands but for its schedule, which Debian's cron understands, too."""
    schedules = "".join(f"{line.schedule} true\n" for line in DOCUMENTED)
    checked = ["sh", "-c", 'printf %s "$1" | crontab -n -', "sh", schedules]
    assert world.cron.run(*checked, check=False).returncode == 0
    assert all({*LAUNCHED} & {*line.words} for line in DOCUMENTED)  # cron's PATH has neither
    under_hcrun = [line for line in DOCUMENTED if line.slug]
    assert len(under_hcrun) > 80

    slugs = {line.slug for line in under_hcrun}
    world.stub.wait_until(lambda: all("success" in world.kinds(slug) for slug in slugs), 130)
    runs: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}

    def left() -> list[tuple[str, str]]:
        runs.update({user: recorded(world.cron, user) for user in ("root", "hcrun")})
        wanted = [(line.user or "hcrun", line.slug, shlex.join(line.job)) for line in under_hcrun]
        return [
            (slug, command) for user, slug, command in wanted if (slug, command) not in runs[user]
        ]

    wait_until(lambda: not left(), f"these are recorded: {left()[:5]}")
    for line in under_hcrun:
        run = runs[line.user or "hcrun"][line.slug, shlex.join(line.job)]
        assert (run["result"], run["status"]) == ("success", 0), (line, run)
        if line.job[0].startswith("probe-"):
            assert run["output"]["head"].splitlines() == line.job
    assert any(TEXTFILES in line.command for line in DOCUMENTED if not line.slug)
    written = world.cron.run("sh", "-c", f"cat /{TEXTFILES}/*.prom").stdout
    assert "hcrun_build_info{" in written


def test_cron_without_mails_loses_no_warning(world: World) -> None:
    def said() -> str:
        return world.cron.run("grep", "-s", "hcrun\\[", "/var/log/syslog", check=False).stdout

    world.stub.wait_for(world.check("probe"), 1, timeout=130)  # of the same minute
    wait_until(said, "hcrun has said something")
    line = said().splitlines()[0]
    assert re.search(r" hcrun\[\d+\]: absent: not pinged: ", line)
    shown = [world.cron, world.systemd]
    with_it, without = (
        one.run("/opt/hcrun/bin/hcctl", "doctor", check=False).stdout for one in shown
    )
    assert re.search(r"  note +hcrun has said: .* absent: not pinged: ", with_it)
    assert "hcrun has said" not in without
