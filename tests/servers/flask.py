"""A real Flask application under a real gunicorn."""

import http.client
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import free_port, running, until

# Only threads keep connections open.
THREADS = ("--worker-class", "gthread", "--threads", "4", "--graceful-timeout", "1")


@contextmanager
def gunicorn(
    directory: Path,
    *options: str,
    app: str = "flask_app",
    env: Mapping[str, str] | None = None,
    cert: Path | None = None,
    key: Path | None = None,
) -> Iterator[int]:
    """The port of an application in tests/servers. With `env` its environment has nothing else."""
    port = free_port()
    log = directory / f"gunicorn-{port}.log"
    argv = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    if env is not None:
        argv = ["env", "-i", *(f"{name}={value}" for name, value in env.items()), *argv]
    argv += options or THREADS
    if cert and key:
        argv += ["--certfile", str(cert), "--keyfile", str(key)]
    with running([*argv, f"tests.servers.{app}:app"], log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            connection = http.client.HTTPConnection("127.0.0.1", port)
            if cert:
                context = ssl.create_default_context(cafile=cert)
                connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
            try:
                connection.request("GET", "/nothing")
                return connection.getresponse().status == 404
            except OSError:
                return False
            finally:
                connection.close()

        until(answers, "gunicorn is ready", 20)
        yield port
