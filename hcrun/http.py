"""One POST, with a deadline over all of it.

For http this needs no more than the C half of `socket`: importing `socket` costs half a bare
interpreter start (it makes enums), http.client two, requests ten. What is used of `_socket` are
the functions and the class that `socket` itself is made of. https takes `ssl`; a proxy takes
`requests`, which knows their many rules.
"""

from __future__ import annotations

import os
import time

from hcrun import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:
    import _socket as socket

_VERSION = b"HTTP/1."
_HEADER_LIMIT = 64 * 1024
_BODY_LIMIT = 1000  # of the answer: enough for its message
_REDIRECTS = 5


class Reply:
    """An answer, or why there is none: then `status` is 0 and `error` says why."""

    def __init__(self, status: int = 0, error: str = "") -> None:
        self.status = status
        self.error = error
        self.refused = False  # nobody listens there
        self.headers: dict[str, str] = {}  # names in lower case
        self.text = ""


class Address:
    """The parts of an http or https URL."""

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
        self.port = int(port) if port.isdigit() else 443 if self.scheme == "https" else 80


def post(url: str, body: bytes, timeout: float) -> Reply:
    """POST `body`, within `timeout` seconds in all. Never raises: the reply says what went wrong.

    Redirects are followed with the same method and body, which clients otherwise turn into a
    GET; but never from https to http, as the URL is a secret.
    """
    deadline = time.monotonic() + timeout
    for _ in range(_REDIRECTS):
        address = Address(url)
        if _proxied(address.scheme):
            from hcrun.proxied import post_by_proxy

            return post_by_proxy(url, body, timeout)
        reply = _post(address, body, deadline)
        location = reply.headers.get("location", "")
        if reply.status not in (301, 302, 303, 307, 308) or not location:
            return reply
        if location.startswith("/"):
            location = f"{address.scheme}://{address.netloc}{location}"
        if not location.startswith("https://" if address.scheme == "https" else "http"):
            return Reply(0, "the server redirects away from https")
        url = location
    return Reply(0, "the server redirects without end")


def _proxied(scheme: str) -> bool:
    names = (f"{scheme}_proxy", "all_proxy")
    return any(os.environ.get(n) or os.environ.get(n.upper()) for n in names)


def _post(address: Address, body: bytes, deadline: float) -> Reply:
    reply = Reply()
    connection = None
    try:
        connection = _connect(address, deadline)
        connection.sendall(_head(address, body) + body)
        _read(connection, reply, deadline)
    except TimeoutError:
        reply.error = reply.error or "no answer in time"
    except OSError as error:
        reply.refused = isinstance(error, ConnectionRefusedError)
        reply.error = f"{address.netloc}: {error.strerror or error}"
    except ValueError as error:
        reply.status = 0
        reply.error = f"{address.netloc}: {error}"
    finally:
        if connection is not None:
            connection.close()
    return reply


def _connect(address: Address, deadline: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers."""
    # As bytes: for a str Python loads the idna codec, even where all is ASCII.
    host = address.host.encode("ascii" if address.host.isascii() else "idna")
    found = socket.getaddrinfo(host, address.port, 0, socket.SOCK_STREAM)
    problem: OSError = OSError(f"{address.host} has no address")
    for left, (family, kind, protocol, _, where) in zip(
        range(len(found), 0, -1), found, strict=True
    ):
        connection = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        try:
            # A fair share of the time for each address: the first may be a dead IPv6 one.
            connection.settimeout(_left(deadline) / left)
            connection.connect(where)
            connection.settimeout(_left(deadline))
            if address.scheme == "https":
                from hcrun.tls import wrap

                return wrap(connection, address.host)
            return connection
        except OSError as error:
            connection.close()
            problem = error
    raise problem


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _head(address: Address, body: bytes) -> bytes:
    lines = [
        f"POST {address.target} HTTP/1.1",
        f"Host: {address.netloc}",
        f"User-Agent: hcrun/{__version__}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if address.credentials:
        from base64 import b64encode
        from urllib.parse import unquote_to_bytes

        basic = b64encode(unquote_to_bytes(address.credentials)).decode()
        lines.append(f"Authorization: Basic {basic}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _read(connection: socket.socket, reply: Reply, deadline: float) -> None:
    """Read the answer's head, and what comes of its body without waiting for more than it says."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection, deadline)
        if not data.startswith(_VERSION[: len(data)]):
            raise ValueError("what answers there does not speak HTTP")
        if len(data) > _HEADER_LIMIT:
            raise ValueError("the answer's header does not end")
        if data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:  # 100 Continue and the like
            data = data.partition(b"\r\n\r\n")[2]
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = first.partition(" ")[2][:3]
    if not status.isdigit():
        raise ValueError("what answers there does not speak HTTP")
    for line in lines:
        name, _, value = line.partition(":")
        reply.headers[name.strip().lower()] = value.strip()
    length = reply.headers.get("content-length", "")
    wanted = min(int(length), _BODY_LIMIT) if length.isdigit() else _BODY_LIMIT
    reply.status = int(status)
    try:
        while len(body) < wanted:
            body += _receive(connection, deadline)
    except OSError:  # the status is what counts; the rest is words
        pass
    reply.text = body[:_BODY_LIMIT].decode("utf-8", "replace").strip()


def _receive(connection: socket.socket, deadline: float) -> bytes:
    connection.settimeout(_left(deadline))
    data = connection.recv(16384)
    if not data:
        raise OSError("closed the connection without an answer")
    return data
