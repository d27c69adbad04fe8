"""One POST over http or https, with a deadline over all of it.

Plain http needs only the C half of `socket`: importing `socket` costs half a bare interpreter start
(it makes enums), http.client two, requests ten.
"""

import _socket as socket
import time

from hcrun import __version__
from hcrun.environment import variables
from hcrun.text import decimal, one_line, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from hcrun.ping.tls import TlsConnection

    Connection: TypeAlias = socket.socket | TlsConnection

_BODY_LIMIT = 1000  # bytes of the answer: enough for its message
_HEADER_LIMIT = 64 * 1024
_REDIRECTS = 5


class Reply:
    """An answer, or why there is none: then `status` is 0 and `error` says why."""

    def __init__(self, status: int = 0, error: str = "") -> None:
        self.status = status
        self.error = error
        self.reason = ""  # the text beside the status
        self.headers: dict[str, str] = {}  # names in lower case
        self.text = ""
        self.note = ""  # what was not sent, and why


class ExplainedError(OSError):
    """Its text names the host at fault, which is usually the one that hcrun connects to."""


class Address:
    """The parts of an http or https URL. Raises ValueError for a bad port."""

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
            raise ValueError("the port must be a number from 1 to 65535")
        self.port = int(port) if port else {"https": 443}.get(self.scheme, 80)

    def authorization(self) -> str:
        """User and password as HTTP wants them."""
        from base64 import b64encode  # few URLs have credentials
        from urllib.parse import unquote_to_bytes

        return f"Basic {b64encode(unquote_to_bytes(self.credentials)).decode()}"


def post(url: str, body: bytes, timeout: float) -> Reply:
    """POST `body`, within `timeout` seconds in all. Never raises: the reply has the error.

    Redirects are followed with the same method and body, which other clients turn into a GET; but
    never from https to http, as the URL is a secret. Another server gets no body: the output is
    for the one that the settings name.
    """
    deadline = time.monotonic() + timeout
    note = ""
    for _ in range(1 + _REDIRECTS):
        reply = _post(url, body, deadline)
        reply.note = note
        location = reply.headers.get("location", "")
        if reply.status not in (301, 302, 303, 307, 308) or not location:
            return reply
        from hcrun.ping.proxy import redirected  # rare

        try:
            url, elsewhere = redirected(url, location)
        except ValueError as error:
            return Reply(0, f"the server redirects {error}")
        if elsewhere:
            body, note = b"", note or f"the output was not sent: {elsewhere}"
    return Reply(0, "the server redirects without end")


def _post(url: str, body: bytes, deadline: float) -> Reply:
    peer = "the ping URL"
    try:
        address = Address(url)
        peer = address.netloc
        proxy = _proxy(address)
        if proxy:
            peer = f"the proxy {proxy.netloc}"
        connection = _connect(address, proxy, deadline)
        try:
            connection.sendall(_head(address, body, proxy) + body)
            reply = _read(connection, deadline)
        finally:
            connection.close()
    except TimeoutError:
        return Reply(0, "no answer in time")
    except ExplainedError as error:
        return Reply(0, str(error))
    except OSError as error:
        return Reply(0, f"{peer}: {error.strerror or error}")
    except ValueError as error:
        return Reply(0, f"{peer}: {error}")
    if proxy and reply.status in (403, 407):  # the proxy's own answer, not the server's
        return Reply(0, f"{peer}: {reply.status} {reply.reason[:100]}".strip())
    return reply


def _proxy(address: Address) -> Address | None:
    environ = variables()
    for name in (f"{address.scheme}_proxy", "all_proxy"):
        given = environ.get(name)
        # In a CGI script HTTP_PROXY is a header of the request.
        if not given and (name != "http_proxy" or "REQUEST_METHOD" not in environ):
            given = environ.get(name.upper())
        if given:
            from hcrun.ping.proxy import proxy_for  # rare

            return proxy_for(address, given)
    return None


def _connect(address: Address, proxy: Address | None, deadline: float) -> "Connection":
    """Connect to the first of the host's addresses that answers."""
    peer = proxy or address
    # As bytes: for a str Python loads the idna codec, even if all of it is ASCII.
    host = peer.host.encode("ascii" if peer.host.isascii() else "idna")
    places = socket.getaddrinfo(host, peer.port, 0, socket.SOCK_STREAM)
    problem: OSError = OSError(f"{peer.host} has no address")
    for number, (family, kind, protocol, _, place) in enumerate(places):
        connection = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        try:
            # A fair share of the time for each address: the first may be a dead IPv6 one.
            connection.settimeout(seconds_left(deadline) / (len(places) - number))
            connection.connect(place)
            # Else the kernel keeps small parts back until the peer has confirmed the ones before.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(seconds_left(deadline))
            if address.scheme != "https":
                return connection
            if proxy:
                from hcrun.ping.proxy import tunnel  # rare

                tunnel(connection, address, proxy, deadline)
            from hcrun.ping.tls import TlsConnection  # plain http needs no TLS

            return TlsConnection(connection, address.host)
        except OSError as error:
            connection.close()
            problem = error
    raise problem


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
        lines.append(f"Authorization: {address.authorization()}")
    if proxy and address.scheme == "http":
        target = f"http://{address.netloc}{target}"
        if proxy.credentials:
            lines.append(f"Proxy-Authorization: {proxy.authorization()}")
    lines = [f"POST {target} HTTP/1.1", *lines, "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def _read(connection: "Connection", deadline: float) -> Reply:
    """Read the answer, and as much of its body as arrives in time."""
    reply, body = read_head(connection, deadline)
    length = decimal(reply.headers.get("content-length", ""))
    wanted = _BODY_LIMIT if length is None else min(length, _BODY_LIMIT)
    try:
        while len(body) < wanted:
            body += _receive(connection, deadline)
    except OSError:  # the status decides; the body is only a message
        pass
    body = body[:_BODY_LIMIT]
    if "chunked" in reply.headers.get("transfer-encoding", "").lower():
        body = _joined(body)
    reply.text = printable(body.decode("utf-8", "replace"), " ", keep="\n").strip()
    return reply


def read_head(connection: "Connection", deadline: float) -> tuple[Reply, bytes]:
    """Read status and headers of an answer; returns also the bytes that came after them."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection, deadline)
        if not data.startswith(b"HTTP/1."[: len(data)]):
            raise ValueError("the answer is not HTTP")
        if len(data) > _HEADER_LIMIT:
            raise ValueError("the header of the answer does not end")
        if data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:  # 100 Continue and the like
            data = data.partition(b"\r\n\r\n")[2]
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status, _, reason = first.partition(" ")[2].partition(" ")
    if len(status) != 3 or decimal(status) is None:
        raise ValueError("the answer is not HTTP")
    reply = Reply(int(status))
    reply.reason = one_line(reason)
    for line in lines:
        name, _, value = line.partition(":")
        reply.headers[name.strip().lower()] = value.strip()
    return reply, body


def _receive(connection: "Connection", deadline: float) -> bytes:
    """Some bytes of the answer. Raises OSError at its end."""
    connection.settimeout(seconds_left(deadline))
    data = connection.recv(16384)
    if not data:
        raise OSError("closed the connection without an answer")
    return data


def _joined(chunks: bytes) -> bytes:
    """The body that a proxy has cut into chunks, as far as it has arrived."""
    body = b""
    try:
        while chunks:
            size, _, chunks = chunks.partition(b"\r\n")
            length = int(size.partition(b";")[0], 16)
            body += chunks[:length]
            chunks = chunks[length + 2 :]
    except ValueError:  # not a size
        pass
    return body


def seconds_left(deadline: float) -> float:
    """Seconds until `deadline` (monotonic). Raises TimeoutError if it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
