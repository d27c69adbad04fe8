"""A real Flask API under a real gunicorn."""

from __future__ import annotations

import http.client
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import free_port, running, until


@contextmanager
def gunicorn(
    directory: Path, *, cert: Path | None = None, key: Path | None = None
) -> Iterator[int]:
    """The port of tests/servers/flask_app.py. It keeps connections, which only threads do."""
    port = free_port()
    log = directory / f"gunicorn-{port}.log"
    argv = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    argv += ["--worker-class", "gthread", "--threads", "4", "--graceful-timeout", "1"]
    if cert and key:
        argv += ["--certfile", str(cert), "--keyfile", str(key)]
    with running([*argv, "tests.servers.flask_app:app"], log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            connection = http.client.HTTPConnection("127.0.0.1", port)
            if cert:
                context = ssl.create_default_context(cafile=cert)
                connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()

        until(answers, "gunicorn is ready")
        yield port
