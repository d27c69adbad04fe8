"""One POST, with a deadline over all of it."""

from __future__ import annotations

import os
import time

from hcrun import __version__
from hcrun.ping.wire import (
    Address,
    ExplainedError,
    Reply,
    basic,
    left,
    read_head,
    receive,
    socket,
    whole,
)
from hcrun.text import printable

_BODY_LIMIT = 1000  # of the answer: enough for its message
_REDIRECTS = 5


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
        from hcrun.ping.redirect import follow

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
            from hcrun.ping.proxy import proxy_for

            return proxy_for(address, given)
    return None


def _connect(address: Address, proxy: Address | None, deadline: float) -> socket.socket:
    """Connect to the first of the host's addresses that answers."""
    first = proxy or address
    # As bytes: for a str Python loads the idna codec, even where all is ASCII.
    host = first.host.encode("ascii" if first.host.isascii() else "idna")
    found = socket.getaddrinfo(host, first.port, 0, socket.SOCK_STREAM)
    problem: OSError = OSError(f"{first.host} has no address")
    for number, (family, kind, protocol, _, where) in enumerate(found):
        connection = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        try:
            # A fair share of the time for each address: the first may be a dead IPv6 one.
            connection.settimeout(left(deadline) / (len(found) - number))
            connection.connect(where)
            connection.settimeout(left(deadline))
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
    from hcrun.ping.tls import wrap

    if proxy:
        from hcrun.ping.proxy import tunnel

        tunnel(connection, address, proxy, deadline)
    return wrap(connection, address.host)


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


def _read(connection: socket.socket, reply: Reply, deadline: float) -> None:
    """Read the answer, and what comes of its body without waiting for more than it says."""
    body = read_head(connection, reply, deadline)
    length = whole(reply.headers.get("content-length", ""))
    wanted = _BODY_LIMIT if length is None else min(length, _BODY_LIMIT)
    try:
        while len(body) < wanted:
            body += receive(connection, deadline)
    except OSError:  # the status is what counts; the rest is words
        pass
    body = body[:_BODY_LIMIT]
    if "chunked" in reply.headers.get("transfer-encoding", "").lower():
        body = _joined(body)
    reply.text = printable(body.decode("utf-8", "replace"), " ", keep="\n").strip()


def _joined(chunks: bytes) -> bytes:
    """What a proxy has cut into chunks, as far as it is here."""
    body = b""
    try:
        while chunks:
            size, _, chunks = chunks.partition(b"\r\n")
            length = int(size.partition(b";")[0], 16)
            body += chunks[:length]
            chunks = chunks[length + 2 :]
    except ValueError:  # no size
        pass
    return body
