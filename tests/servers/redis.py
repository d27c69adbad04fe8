"""Real Redis servers: `redis-server` from PATH, one per test, as it starts in no time."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from tests.servers.process import free_port, running, until


class Server(NamedTuple):
    port: int
    process: subprocess.Popen[bytes]
    client: Any  # a redis.Redis, whose types are not worth the casts


StartRedis = Callable[..., Server]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """Start a server: `start_redis("--maxclients", 20)`; all are stopped after the test.

    One that has a `dump` to load is ready when it is loading. PORT stands for the port. What else
    is named is for the server's client.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server in PATH")
    with ExitStack() as stack:

        def start(*options: object, dump: Path | None = None, **client: Any) -> Server:
            port = free_port()
            directory = tmp_path / f"redis-{port}"
            directory.mkdir()
            if dump:
                shutil.copy(dump, directory)
            plain = [] if "--tls-port" in options else ["--port", str(port)]
            words = [str(port) if option == "PORT" else str(option) for option in options]
            argv = [binary, "--save", "", "--dir", str(directory), *plain, *words]
            process = stack.enter_context(running(argv, directory / "log"))
            connection = stack.enter_context(
                redis.Redis(
                    port=port,
                    decode_responses=True,
                    protocol=2,
                    retry=None,  # type: ignore[arg-type]
                    driver_info=None,
                    **client,
                )
            )

            def answers() -> bool:
                assert process.poll() is None, (directory / "log").read_text()
                try:
                    return bool(connection.ping())
                except redis.AuthenticationError:
                    return True
                except redis.BusyLoadingError:
                    return dump is not None
                except redis.ConnectionError:
                    return False

            until(answers, "redis-server is ready")
            return Server(port, process, connection)

        yield start
