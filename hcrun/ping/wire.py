"""What goes over the wire of a ping: the parts of a URL, the head of an answer, time running out.

Plain http needs no more than the C half of `socket`: importing `socket` costs half a bare
interpreter start (it makes enums), http.client two, requests ten. What is used of `_socket` are
the functions and the class that `socket` itself is made of.
"""

from __future__ import annotations

import time

from hcrun.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:
    import _socket as socket

__all__ = [
    "Address",
    "ExplainedError",
    "Reply",
    "basic",
    "left",
    "read_head",
    "receive",
    "socket",
    "whole",
]

_VERSION = b"HTTP/1."
_HEADER_LIMIT = 64 * 1024


class Reply:
    """An answer, or why there is none: then `status` is 0 and `error` says why."""

    def __init__(self, status: int = 0, error: str = "") -> None:
        self.status = status
        self.error = error
        self.refused = False  # nobody listens there
        self.reason = ""  # what the server says beside the status
        self.headers: dict[str, str] = {}  # names in lower case
        self.text = ""


class ExplainedError(OSError):
    """Its words say who is to blame; usually that is the one connected to."""


class Address:
    """The parts of an http or https URL. Raises ValueError for a port that is no number."""

    def __init__(self, url: str) -> None:
        self.scheme, _, rest = url.partition("://")
        self.scheme = self.scheme.lower()
        authority, slash, path = rest.partition("/")
        self.target = slash + path or "/"
        self.credentials, _, self.netloc = authority.rpartition("@")
        host, bracket, after = self.netloc.partition("]")
        if bracket:
            self.host, port = host[1:], after.removeprefix(":")
        else:
            self.host, _, port = self.netloc.partition(":")
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("its port is no number from 1 to 65535")
        self.port = int(port) if port else 443 if self.scheme == "https" else 80


def left(deadline: float) -> float:
    """Seconds left until `deadline` (monotonic); raises TimeoutError when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def basic(address: Address) -> str:
    """User and password of a URL, as HTTP wants them."""
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    return f"Basic {b64encode(unquote_to_bytes(address.credentials)).decode()}"


def read_head(connection: socket.socket, reply: Reply, deadline: float) -> bytes:
    """Read status and headers of the answer; returns what came after them."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection, deadline)
        if not data.startswith(_VERSION[: len(data)]):
            raise ValueError("what answers there does not speak HTTP")
        if len(data) > _HEADER_LIMIT:
            raise ValueError("the answer's header does not end")
        if data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:  # 100 Continue and the like
            data = data.partition(b"\r\n\r\n")[2]
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status, _, reply.reason = first.partition(" ")[2].partition(" ")
    if len(status) != 3 or whole(status) is None:
        raise ValueError("what answers there does not speak HTTP")
    reply.reason = one_line(reply.reason)
    for line in lines:
        name, _, value = line.partition(":")
        reply.headers[name.strip().lower()] = value.strip()
    reply.status = int(status)
    return body


def whole(text: str) -> int | None:
    """A number in an answer; None for what is none, or is absurd."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def receive(connection: socket.socket, deadline: float) -> bytes:
    """Some bytes of the answer. Raises OSError when it has ended."""
    connection.settimeout(left(deadline))
    data = connection.recv(16384)
    if not data:
        raise OSError("closed the connection without an answer")
    return data
