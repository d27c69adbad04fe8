"""A small HTTP proxy: absolute-form requests for http, CONNECT for https."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """with Proxy() as proxy: ... f"http://127.0.0.1:{proxy.port}"

    lines: the first lines of the requests, as they came.
    credentials: what Proxy-Authorization must be, else a 407; "" for nothing.
    refuses: answer this status to everything.
    """

    def __init__(self, credentials: str = "", refuses: str = "") -> None:
        self.lines: list[str] = []
        self._credentials = credentials
        self._refuses = refuses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _start(self, target: Callable[..., None], *given: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=given, daemon=True)
        thread.start()
        return thread

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(65536)
            head, _, rest = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            self.lines.append(first)
            headers = dict(line.split(": ", 1) for line in lines)
            if self._refuses:
                client.sendall(f"HTTP/1.1 {self._refuses}\r\nContent-Length: 0\r\n\r\n".encode())
                return
            if self._credentials != headers.get("Proxy-Authorization", ""):
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            method, target, version = first.split()
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                there = socket.create_connection((host.strip("[]"), int(port)))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                parts = urlsplit(target)
                assert parts.scheme == "http"
                there = socket.create_connection((parts.hostname, parts.port or 80))
                path = target.removeprefix(f"http://{parts.netloc}")
                kept = [line for line in lines if not line.startswith("Proxy-")]
                first = f"{method} {path} {version}"
                there.sendall("\r\n".join([first, *kept, "", ""]).encode() + rest)
            with there:
                back = self._start(self._pass_on, there, client)
                self._pass_on(client, there)
                back.join()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
