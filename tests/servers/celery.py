"""Real Celery workers and a real beat, on a real Redis."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.process import running, until
from tests.servers.rabbitmq import Rabbit
from tests.servers.redis import Server

ROOT = Path(__file__).parents[2]


def broker(server: Server) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


@contextmanager
def celery(
    server: Server | None,
    directory: Path,
    *arguments: object,
    app: str = "celery_app",
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process of a `celery` command, with its log in the directory."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", f"tests.servers.{app}"]
    # It takes everything from its environment; the test's own must not be in it.
    environ = {"PATH": os.environ["PATH"]}
    environ |= {"CELERY_BROKER_URL": broker(server)} if server else {}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(directory)}
    environ |= env or {}
    variables = [f"{key}={value}" for key, value in environ.items()]
    argv = ["env", "-i", f"--chdir={directory}", *variables, *command, *map(str, arguments)]
    with running(argv, directory / f"{arguments[0]}.log") as process:
        yield process


@contextmanager
def worker(
    server: Server,
    directory: Path,
    name: str = "one",
    queues: str = "celery",
    pool: str = "prefork",
    size: int = 1,
    app: str = "celery_app",
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker called `name@test`, which is ready."""
    options = f"-n {name}@test -c {size} -Q {queues} -P {pool} --without-gossip --without-mingle"
    before = _ears(server)
    with celery(server, directory, "worker", *options.split(), app=app, env=env) as process:

        def listens() -> bool:
            assert process.poll() is None, (directory / "worker.log").read_text()
            return _ears(server) > before

        until(listens, f"worker {name} is ready", 30)
        yield process


@contextmanager
def rabbit_worker(rabbit: Rabbit, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker called `one@test` on RabbitMQ, which is ready."""
    options = "worker -n one@test -P solo -l info --without-gossip --without-mingle"
    env = {"CELERY_BROKER_URL": rabbit.url}
    with celery(None, directory, *options.split(), env=env) as process:
        log = directory / "worker.log"
        until(lambda: "one@test ready" in log.read_text(), "the worker is ready", 30)
        yield process


def _ears(server: Server) -> int:
    """How many clients have subscribed to a pattern, as workers do."""
    return sum(int(client["psub"]) for client in server.client.client_list())


def send(
    server: Server,
    tasks: Sequence[tuple[str, Sequence[Any]]],
    transport: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[str]:
    """Send tasks by name and arguments, without importing them; returns their ids."""
    import celery as library

    app = library.Celery(broker=broker(server))
    app.conf.broker_transport_options = dict(transport or {})
    with app.connection_for_write() as connection:
        sent = [
            app.send_task(name, arguments, connection=connection, **options)
            for name, arguments in tasks
        ]
    app.close()
    return [result.id for result in sent]
