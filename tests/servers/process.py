"""What the tests of probes share: server processes, sockets that misbehave, and the probes' own
command line."""

import ctypes
import importlib
import json
import os
import random
import re
import resource
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from probes.framework.verdict import Status
from tests.support.command import PATIENCE
from tests.support.forks import FORKS, Fork, become, completed

CHANCE = random.SystemRandom()


def free_port() -> int:
    """None of those that the kernel gives to clients, and could give to one before it is used."""
    while True:
        port = CHANCE.randrange(10_000, 32_768)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def until(condition: Callable[[], object], what: str, seconds: float = 3 * PATIENCE) -> None:
    """Wait until `condition` is true. Raises AssertionError, which says `what` did not happen."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)


@contextmanager
def running(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, which is stopped in the end."""
    with log.open("ab") as file:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def listening(
    serve: Callable[[socket.socket], object], host: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """A port on which each connection is given to `serve`, and closed after that."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            serve(connection)

    connections: list[socket.socket] = []
    with socket.create_server((host, port)) as listener:
        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def hang(connection: socket.socket) -> None:
    """Take everything, answer nothing."""
    while connection.recv(4096):
        pass


@contextmanager
def deaf(host: str) -> Iterator[int]:
    """A port that does not answer those who want to connect, as behind a firewall."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.create_server((host, 0), backlog=0))
        place = listener.getsockname()
        for _ in range(3):  # more than wait for their turn
            connection = opened.enter_context(socket.socket(listener.family))
            connection.setblocking(False)
            connection.connect_ex(place)
        yield place[1]


def once(said: bytes) -> Callable[[socket.socket], None]:
    """A server that answers the first request, whatever it is, and hangs up."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(said)

    return serve


speak_http = once(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def answering(answers: dict[str, tuple[int, object]]) -> Callable[[socket.socket], None]:
    """A server that answers with status and text, or JSON, by the end of the path."""

    def serve(connection: socket.socket) -> None:
        while request := connection.recv(4096):
            if b" HTTP/1." not in request:  # a body that came by itself
                continue
            path = request.split()[1].decode()
            status, found = next(answers[end] for end in answers if path.endswith(end))
            body = (found if isinstance(found, str) else json.dumps(found)).encode()
            head = f"HTTP/1.1 {status} Any\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    return serve


def saying(status: int, body: object) -> Callable[[socket.socket], None]:
    """A server that answers every request with one status and text, or JSON."""
    return answering({"": (status, body)})


def trickle(connection: socket.socket) -> None:
    """Answer a byte at a time, always before a read could time out."""
    connection.recv(4096)
    while True:
        connection.sendall(b"+")
        time.sleep(0.05)


class Like:
    """Equal to each line like the template: # is any number, #B any size for people, #T any time
    below a minute."""

    def __init__(self, template: str) -> None:
        self.template = template
        number = r"-?\d+(\.\d+)?"
        pattern = re.escape(template).replace(r"=\#B", f"={number}B")
        pattern = pattern.replace(r"\#T", rf"(under 1 ms|{number} m?s)")
        self.pattern = pattern.replace(r"\#B", f"{number} [kMG]?B").replace(r"\#", number)

    def __eq__(self, line: object) -> bool:
        return isinstance(line, str) and bool(re.fullmatch(self.pattern, line))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.template)


def use_hosts(path: str) -> None:
    """Replace /etc/hosts for this process; the user must be root."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, bind, private = 0x20000, 0x1000, 0x44000  # for all below, too
    for failed in (
        libc.unshare(new_mounts),
        libc.mount(b"none", b"/", None, private, None),
        libc.mount(path.encode(), b"/etc/hosts", None, bind, None),
    ):
        assert not failed, os.strerror(ctypes.get_errno())


def in_fork(
    argv: list[str],
    environ: dict[str, str],
    output: str,
    memory: int,
    first: Path | None,
    hosts: Path | None,
) -> None:
    """Run a probe, with stdout and stderr in files of the directory `output`."""
    if hosts:
        use_hosts(str(hosts))
    become(argv, environ, output)
    if first:
        runpy.run_path(str(first))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    name = argv[0].removeprefix("probe-").replace("-", "_")
    module = importlib.import_module(f"probes.check_{name}")
    (module if name == "all" else module.PROBE).run()


class Ran(NamedTuple):
    status: int
    line: str
    seconds: float


class Command:
    """A probe's console script, with an environment of its own."""

    def __init__(self, name: str, directory: Path) -> None:
        self.script = Path(sys.executable).parent / name
        self.title = name.removeprefix("probe-").upper()
        self.prefix: list[str] = []  # a command that runs it, such as prlimit
        self.memory = 0  # bytes of data that it may have; 0 for any
        self.first: Path | None = None  # a sitecustomize.py
        self.hosts: Path | None = None  # an /etc/hosts
        self.environ = {
            "HOME": str(directory),
            "PATH": os.environ["PATH"],
            "HCRUN_ENV_FILE": "/dev/null",
            "STATE_DIRECTORY": str(directory / "state"),
        }

    def __call__(self, *arguments: object, **environ: object) -> Ran:
        """Run it. It must print one line on stdout, with its exit status in words, and nothing on
        stderr, whatever happens."""
        ran = self.run(*arguments, **environ)
        assert ran.stderr == "", ran.stderr
        assert re.fullmatch(r"[^\n]+\n", ran.stdout), ran.stdout
        if "--json" not in arguments:
            assert ran.stdout.startswith(f"{self.title} {Status(ran.returncode).name} - "), ran
        return Ran(ran.returncode, ran.stdout.rstrip("\n"), self.seconds)

    def worst(self, *arguments: object, **environ: object) -> str:
        """Run it. Returns the state, and the message of the worst reading up to a comma."""
        return self(*arguments, **environ).line.removeprefix(f"{self.title} ").partition(", ")[0]

    def misused(self, *arguments: object) -> Ran:
        """Run it with a wrong command line: UNKNOWN, and where the help is."""
        ran = self(*arguments)
        assert ran.status == 3, ran
        assert ran.line.endswith(f"; see {self.script.name} --help"), ran
        return ran

    def run(self, *arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
        started = time.monotonic()
        if self.prefix or "PYTHONPATH" in self.environ | environ:
            ran = self._script(*arguments, **environ)
        else:
            with tempfile.TemporaryDirectory() as output:
                fork = self.fork(output, *arguments, **environ)
                ran = completed(fork, [str(word) for word in arguments], output, 3 * PATIENCE)
        self.seconds = time.monotonic() - started
        return ran

    def fork(self, output: str | Path, *arguments: object, **environ: object) -> Fork:
        """Start it with stdout and stderr in files of the directory `output`."""
        argv = [self.script.name, *map(str, arguments)]
        given = (argv, self._with(environ), str(output), self.memory, self.first, self.hosts)
        fork = FORKS.Process(target=in_fork, args=given)
        fork.start()
        return fork

    def _script(self, *arguments: object, **environ: object) -> subprocess.CompletedProcess[str]:
        if self.first:
            environ = {"PYTHONPATH": self.first.parent, **environ}
        return subprocess.run(
            [*self.prefix, str(self.script), *map(str, arguments)],
            env=self._with(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
            check=False,
        )

    def _with(self, environ: Mapping[str, object]) -> dict[str, str]:
        return self.environ | {name: str(value) for name, value in environ.items()}

    def json(self, *arguments: object, **environ: object) -> tuple[dict[str, Any], dict[str, Any]]:
        """The JSON object, and its readings by label."""
        ran = self("--json", *arguments, **environ)
        result: dict[str, Any] = json.loads(ran.line, parse_constant=no_json)
        assert Status(ran.status).name == result["status"]
        return result, {reading["label"]: reading for reading in result["readings"]}


def no_json(word: str) -> None:
    """For NaN and Infinity, which Python's json writes and reads, and others do not."""
    raise ValueError(f"{word} is no JSON")


def certificate(directory: Path, name: str = "server", days: int = 90) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, which is its own authority, and its key."""
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-days", str(days), "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    return cert, key
