"""A real RabbitMQ, with an epmd of its own; it takes seconds to start, so one serves a module."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.process import certificate, free_port, running, until

SCRIPTS = Path("/usr/lib/rabbitmq/bin")


class Rabbit(NamedTuple):
    port: int
    tls_port: int
    ca: Path
    environ: dict[str, str]

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}//"

    def control(self, *arguments: str) -> str:
        """Run Erlang or a command of rabbitmqctl on the node."""
        return subprocess.run(
            [str(SCRIPTS / "rabbitmqctl"), "-q", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    @contextmanager
    def alarm(self) -> Iterator[None]:
        """Too little memory, so RabbitMQ blocks who sends."""
        self.control("set_vm_memory_high_watermark", "0.0001")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.9")


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    if not SCRIPTS.is_dir() or not shutil.which("epmd"):
        pytest.skip("no rabbitmq-server")
    directory = tmp_path_factory.mktemp("rabbit")
    cert, key = certificate(directory, days=2)
    port, tls_port, mapper, distribution = (free_port() for _ in range(4))
    config = directory / "rabbitmq.conf"
    config.write_text(
        f"listeners.tcp.default = 127.0.0.1:{port}\nlisteners.ssl.default = 127.0.0.1:{tls_port}\n"
        f"ssl_options.certfile = {cert}\nssl_options.keyfile = {key}\nlog.file = false\n"
        "log.console = true\nvm_memory_high_watermark.relative = 0.9\n"
        "disk_free_limit.absolute = 1KB\n"
    )
    (directory / "plugins").write_text("[].\n")
    environ = {
        "HOME": str(directory),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(directory / "flags"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none "
        "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    log = directory / "log"
    with ExitStack() as stack:
        variables = [f"{name}={value}" for name, value in environ.items()]
        own = ["env", "-i", *variables]
        stack.enter_context(running([*own, "epmd", "-port", str(mapper)], directory / "epmd.log"))
        server = stack.enter_context(running([*own, str(SCRIPTS / "rabbitmq-server")], log))

        def is_ready() -> bool:
            assert server.poll() is None, log.read_text()
            return "Server startup complete" in log.read_text()

        until(is_ready, "rabbitmq-server is ready", 120)
        yield Rabbit(port, tls_port, cert, environ)
