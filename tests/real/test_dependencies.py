"""An outage of Redis, and a restart of the server, with all that is in between: minutes long.

The jobs run as their units say, but every few seconds. The shortest period and grace of the server,
60 s each, decide how long the outage must be: an alert is sent 120 s after the last success.
"""

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from hcrun.api.client import HealthchecksClient
from hcrun.api.models import Check as RemoteCheck
from hcrun.formats.systemd_unit import split_words
from tests.servers.mail import Webhook
from tests.servers.process import free_port, running
from tests.support.client import client_of
from tests.support.command import HCRUN, hcctl_environment, run_hcctl
from tests.support.real import setting, settings

OURS = f"dep-{uuid4().hex[:6]}"
SET = settings()
CHANNELS = ("pager", "chat")
PATIENCE = 300.0  # seconds
pytestmark = [
    pytest.mark.real("HC_REAL_MANAGE"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "redis-server", "redis-cli"))),
        reason="mounts its own /etc, and starts Redis",
    ),
]
HEAD = f"""
[tiers.1]
level = "critical"
channels = ["{OURS}-pager", "{OURS}-chat"]
[channels.{OURS}-pager]
kind = "webhook"
[channels.{OURS}-chat]
kind = "webhook"
[defaults]
tier = "1"
"""
ROOT = """
[checks.{name}]
every = "30s"
timeout = "10s"
command = "probe-redis --port {port} --restarts-warning off --timeout 9s"
options = "--on-exit 1=success --fail-after 2"
"""
DEPENDANT = """
[checks.{name}]
every = "1m"
grace = "1m"
timeout = "15s"
needs = {needs}
command = ["sh", "-c", "test ! -e {broken} && redis-cli -p {port} ping | grep PONG"]
"""
HOLD = """
[checks.{name}]
every = "30s"
grace = "2m"
command = "hcctl hold"
options = "--on-exit 1=log"
"""
NEW_CHANNEL = """
import json
from hc.accounts.models import Project
from hc.api.models import Channel
project = Project.objects.for_api_key({key!r}, accept_rw=True, accept_ro=False)
for name in {names!r}:
    value = {{"method_down": "POST", "url_down": {url!r} + name, "body_down": "$SLUG DOWN",
             "headers_down": {{}}, "method_up": "POST", "url_up": {url!r} + name,
             "body_up": "$SLUG UP", "headers_up": {{}}}}
    Channel.objects.create(project=project, kind="webhook", name=name, value=json.dumps(value))
"""
DROP_CHANNELS = """
from hc.api.models import Channel
Channel.objects.filter(name__in={names!r}).delete()
"""


class Machine:
    """A host whose catalogue is its own; its jobs run in a loop until it is stopped."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        (path / "etc/hcrun").mkdir(parents=True)
        self.catalogue = path / "etc/hcrun/checks.toml"
        self.catalogue.write_text(HEAD + text)
        self.environment = hcctl_environment(path) | SET
        self.hcctl("sync")
        self.hcctl("render", "systemd", "--hcrun", "/opt/hcrun", "--output", str(path / "units"))

    def hcctl(self, *words: str) -> str:
        done = run_hcctl(self.path, *words, "--catalog", str(self.catalogue), env=SET)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self, stack: ExitStack, seconds: float, without: str = "") -> subprocess.Popen[bytes]:
        """Run all jobs in a loop; the loop ends with the process, and with the stack."""
        script = f"mount --bind {self.path}/etc /etc\n"
        for unit in sorted(self.path.glob("units/*.service.d/job.conf")):
            [line] = [each for each in unit.read_text().split("\n") if "ExecStart=/" in each]
            words = split_words(line.partition("=")[2])
            words[0] = HCRUN
            if not without or without not in line:
                quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
                script += f"while :; do {quoted} > /dev/null 2>&1; sleep {seconds}; done &\n"
        argv = ["env", "-i", *(f"{name}={value}" for name, value in self.environment.items())]
        argv += ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc"]
        argv += ["sh", "-c", script + "wait"]
        log = self.path / f"log-{uuid4().hex[:4]}"
        return stack.enter_context(running(argv, log))


class Scene(NamedTuple):
    """What a test needs: `alerts` counts what both channels got."""

    client: HealthchecksClient
    sink: Webhook
    directory: Path
    stack: ExitStack

    def alerts(self) -> Counter[str]:
        """By `CHANNEL SLUG DOWN`."""
        return Counter(
            f"{post.path.rpartition('-')[2]} {post.body.decode().removeprefix(f'{OURS}-')}"
            for post in list(self.sink.kept)
        )

    def told(self, words: str) -> bool:
        return all(self.alerts()[f"{channel} {words}"] for channel in CHANNELS)

    def is_quiet(self) -> bool:
        """Whether each alert is followed by that of the recovery."""
        alerts = self.alerts()
        downs = [words for words in alerts if words.endswith(" DOWN")]
        return all(alerts[f"{w.removesuffix('DOWN')}UP"] == alerts[w] for w in downs)

    def check(self, name: str) -> RemoteCheck:
        found = self.client.get_check(f"{OURS}-{name}")
        assert found
        return found

    def redis(self, port: int) -> ExitStack:
        stack = self.stack.enter_context(ExitStack())
        words = ["redis-server", "--port", str(port), "--save", "", "--dir", str(self.directory)]
        stack.enter_context(running(words, self.directory / f"redis-{uuid4().hex[:4]}.log"))
        return stack


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    manage = setting("MANAGE")
    names = [f"{OURS}-{name}" for name in CHANNELS]
    client = client_of(SET["HEALTHCHECKS_API_URL"], SET["HEALTHCHECKS_API_KEY"])
    with ExitStack() as stack:
        sink = stack.enter_context(Webhook())
        key = SET["HEALTHCHECKS_API_KEY"]
        script = NEW_CHANNEL.format(key=key, names=names, url=f"{sink.url}/")
        subprocess.run([manage, "shell"], input=script.encode(), check=True, capture_output=True)
        yield Scene(client, sink, tmp_path, stack)
        stack.close()
        for check in client.list_checks():
            if check.slug.startswith(OURS):
                client.delete_check(check.uuid)
        script = DROP_CHANNELS.format(names=names)
        subprocess.run([manage, "shell"], input=script.encode(), check=True, capture_output=True)


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.5)


def root(name: str, port: int) -> str:
    return ROOT.format(name=f"{OURS}-{name}", port=port)


def dependant(name: str, root: str, port: int, broken: str = "/nothing") -> str:
    needs = f'["{OURS}-{root}"]' if root else "[]"
    return DEPENDANT.format(name=f"{OURS}-{name}", needs=needs, port=port, broken=broken)


def hold(name: str) -> str:
    return HOLD.format(name=f"{OURS}-{name}")


def test_an_outage_and_a_restart(scene: Scene) -> None:
    """Three hosts at once, as each part takes minutes."""
    port, broken = free_port(), scene.directory / "broken"
    six = [f"six{number}" for number in range(6)]
    main = Machine(
        scene.directory / "main",
        root("redis", port)
        + "".join(dependant(name, "redis", port) for name in six)
        + dependant("broken", "redis", port, str(broken))
        + hold("hold"),
    )
    # Nothing holds its leases: hcctl hold was killed.
    dead = Machine(
        scene.directory / "dead", root("redis2", port) + dependant("alone", "redis2", port)
    )
    other = free_port()
    away = Machine(
        scene.directory / "away",
        dependant("back", "", other) + dependant("gone", "", other) + hold("hold2"),
    )
    scene.redis(other)
    redis = scene.redis(port)
    main.jobs(scene.stack, 6)
    dead.jobs(scene.stack, 6)
    before = away.jobs(scene.stack, 6)
    names = [*six, "redis", "broken", "hold", "redis2", "alone", "back", "gone", "hold2"]
    until(lambda: all(scene.check(name).status == "up" for name in names), "all are up")

    # A busy machine may have had alerts before that.
    until(scene.is_quiet, "all recoveries are told")
    scene.sink.kept.clear()
    # The server restarts, as far as the third host is concerned; one of its jobs never comes back.
    until_then = time.time() + 150
    away.hcctl("hold", "--all", "--for", "150s")
    before.kill()
    redis.close()
    broken.touch()
    stopped = time.time()
    until(lambda: scene.told("redis DOWN") and scene.told("redis2 DOWN"), "redis is down")
    until(lambda: scene.told("alone DOWN"), "an alert, as nobody holds the lease")
    until(lambda: time.time() > stopped + 130, "all would have alerted")
    away.jobs(scene.stack, 6, without="-gone ")
    until(lambda: time.time() > until_then - 5, "nearly the end of the lease")
    assert scene.check("back").grace > 60
    assert {scene.check(name).status for name in six} <= {"up", "grace"}
    assert all(scene.check(name).grace > 60 for name in six)
    assert "unchanged" in main.hcctl("sync", "--plan")

    scene.redis(port)
    back = time.time()
    until(lambda: scene.told("redis UP") and scene.told("alone UP"), "redis is up")
    until(lambda: scene.told("broken DOWN"), "what is still broken alerts")
    took = time.time() - back
    until(lambda: scene.told("gone DOWN"), "what has not come back alerts")
    until(lambda: all(scene.check(name).grace == 60 for name in [*six, "back"]), "restored")
    once = [f"{name} DOWN" for name in ("redis", "redis2", "alone", "broken", "gone")]
    once += [f"{name} UP" for name in ("redis", "redis2", "alone")]
    assert scene.alerts() == Counter(f"{channel} {words}" for channel in CHANNELS for words in once)
    print(f"outage {back - stopped:.0f} s, the broken one alerted {took:.0f} s after the recovery")
