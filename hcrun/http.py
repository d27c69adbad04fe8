"""One POST, with a deadline over all of it.

For http this needs no more than the C half of `socket`: importing `socket` costs half a bare
interpreter start (it makes enums), http.client two, requests ten. What is used of `_socket` are
the functions and the class that `socket` itself is made of. https takes `ssl`.
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


def post(url: str, body: bytes, timeout: float) -> Reply:
    """POST `body`, within `timeout` seconds in all. Never raises: the reply says what went wrong.

    Redirects are followed with the same method and body, which clients otherwise turn into a
    GET; but never from https to http, as the URL is a secret.
    """
    deadline = time.monotonic() + timeout
    for _ in range(1 + _REDIRECTS):
        reply = _post(url, body, deadline)
        location = reply.headers.get("location", "")
        if reply.status not in (301, 302, 303, 307, 308) or not location:
            return reply
        from hcrun.redirect import follow

        try:
            url = follow(url, location)
        except ValueError as error:
            return Reply(0, f"the server redirects {error}")
    return Reply(0, "the server redirects without end")


def _post(url: str, body: bytes, deadline: float) -> Reply:
    reply = Reply()
    connection: socket.socket | None = None
    who = "the ping URL"
    try:
        address = Address(url)
        who = address.netloc
        proxy = _proxy(address)
        if proxy:
            who = f"the proxy {proxy.netloc}"
        connection = _connect(address, proxy, deadline)
        connection.sendall(_head(address, body, proxy) + body)
        _read(connection, reply, deadline)
    except TimeoutError:
        reply.error = "no answer in time"
    except OSError as error:
        reply.refused = isinstance(error, ConnectionRefusedError)
        words = str(error.strerror or error)
        reply.error = words if isinstance(error, ExplainedError) else f"{who}: {words}"
    except ValueError as error:
        reply.error = f"{who}: {error}"
    finally:
        if connection is not None:
            connection.close()
    if reply.error:
        reply.status = 0
    elif proxy and reply.status in (403, 407):  # its own words, not the server's
        reply.error = f"{who}: {reply.status} {reply.reason[:100]}".strip()
        reply.status = 0
    return reply


def _proxy(address: Address) -> Address | None:
    names = (f"{address.scheme}_proxy", "all_proxy")
    for name in names:
        given = os.environ.get(name) or os.environ.get(name.upper())
        if given:
            from hcrun.proxied import proxy_for

            return proxy_for(address, given)
    return None


def _connect(address: Address, proxy: Address | None, deadline: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers."""
    first = proxy or address
    # As bytes: for a str Python loads the idna codec, even where all is ASCII.
    host = first.host.encode("ascii" if first.host.isascii() else "idna")
    found = socket.getaddrinfo(host, first.port, 0, socket.SOCK_STREAM)
    problem: OSError = OSError(f"{first.host} has no address")
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
                return _secure(connection, address, proxy, deadline)
            return connection
        except OSError as error:
            connection.close()
            problem = error
    raise problem


def _secure(
    connection: socket.socket, address: Address, proxy: Address | None, deadline: float
) -> socket.socket:
    from hcrun.tls import wrap

    if proxy:
        from hcrun.proxied import tunnel

        tunnel(connection, address, proxy, deadline)
    return wrap(connection, address.host)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _head(address: Address, body: bytes, proxy: Address | None) -> bytes:
    target = address.target
    lines = [
        f"Host: {address.netloc}",
        f"User-Agent: hcrun/{__version__}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if address.credentials:
        lines.append(f"Authorization: {basic(address)}")
    if proxy and address.scheme == "http":
        target = f"http://{address.netloc}{target}"
        if proxy.credentials:
            lines.append(f"Proxy-Authorization: {basic(proxy)}")
    lines = [f"POST {target} HTTP/1.1", *lines, "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def basic(address: Address) -> str:
    """User and password of a URL, as HTTP wants them."""
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    return f"Basic {b64encode(unquote_to_bytes(address.credentials)).decode()}"


def _read(connection: socket.socket, reply: Reply, deadline: float) -> None:
    """Read the answer, and what comes of its body without waiting for more than it says."""
    body = read_head(connection, reply, deadline)
    length = reply.headers.get("content-length", "")
    wanted = min(int(length), _BODY_LIMIT) if length.isdigit() else _BODY_LIMIT
    try:
        while len(body) < wanted:
            body += _receive(connection, deadline)
    except OSError:  # the status is what counts; the rest is words
        pass
    reply.text = body[:_BODY_LIMIT].decode("utf-8", "replace").strip()


def read_head(connection: socket.socket, reply: Reply, deadline: float) -> bytes:
    """Read status and headers of the answer; returns what came after them."""
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
    status, _, reply.reason = first.partition(" ")[2].partition(" ")
    if len(status) != 3 or not status.isdigit():
        raise ValueError("what answers there does not speak HTTP")
    for line in lines:
        name, _, value = line.partition(":")
        reply.headers[name.strip().lower()] = value.strip()
    reply.status = int(status)
    return body


def _receive(connection: socket.socket, deadline: float) -> bytes:
    connection.settimeout(_left(deadline))
    data = connection.recv(16384)
    if not data:
        raise OSError("closed the connection without an answer")
    return data
