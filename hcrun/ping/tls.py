"""TLS for pings, with the C half of `ssl` alone: importing `ssl` costs 1.6 interpreter starts.

`_ssl` is not a public module. What is used of it is the same in CPython 3.11 to 3.13, and the
typed classes below are the only place that knows it.
"""

import _socket as socket
import os
from _ssl import (
    PROTOCOL_TLS_CLIENT,
    SSLCertVerificationError,
    SSLEOFError,
    SSLError,
    SSLZeroReturnError,
    _SSLContext,
    get_default_verify_paths,
)

from hcrun.ping.http import ExplainedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _Session(Protocol):
        """What `_SSLContext._wrap_socket` returns: typeshed does not have it."""

        def do_handshake(self) -> None: ...
        def read(self, size: int, /) -> bytes: ...
        def write(self, data: bytes, /) -> int: ...


_context: _SSLContext | None = None  # of this process: reading CAs takes time


class _Transport(socket.socket):
    """A socket that can be referenced weakly, as `_ssl` does."""

    __slots__ = ("__weakref__",)


class TlsConnection:
    """A verified TLS connection over `plain`, with methods as of that socket. Raises OSError."""

    def __init__(self, plain: socket.socket, host: str) -> None:
        timeout = plain.gettimeout()
        family, kind, protocol = plain.family, plain.type, plain.proto
        self._transport = _Transport(family, kind, protocol, plain.detach())
        self._transport.settimeout(timeout)
        name = host if host.isascii() else host.encode("idna").decode("ascii")
        try:
            session = context()._wrap_socket(self._transport, False, name)  # type: ignore[attr-defined]
            self._session: _Session = session
            session.do_handshake()
        except SSLError as error:
            self.close()
            why = "TLS failed: " + (error.reason or str(error)).replace("_", " ").lower()
            if isinstance(error, SSLCertVerificationError):
                why = f"its certificate was rejected: {error.verify_message}"
            raise ExplainedError(f"{host}: {why}") from None
        except BaseException:
            self.close()
            raise

    def settimeout(self, seconds: float) -> None:
        self._transport.settimeout(seconds)

    def sendall(self, data: bytes) -> None:
        """Send all of `data`; each part that OpenSSL takes has the time-out for itself."""
        rest = data
        while rest:
            rest = rest[self._session.write(rest) :]

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end, also if the peer does not announce it."""
        try:
            return self._session.read(size)
        except (SSLEOFError, SSLZeroReturnError):
            return b""

    def close(self) -> None:
        self._transport.close()


def context() -> _SSLContext:
    """The TLS context of this process. It verifies the server's certificate and name.

    It trusts `$SSL_CERT_FILE` and `$SSL_CERT_DIR`, else the system's CAs. Reading the system's one
    big file of CAs costs four bare interpreter starts; from its hashed directory OpenSSL opens only
    the one that it needs.
    """
    global _context
    if _context is None:
        made = _SSLContext(PROTOCOL_TLS_CLIENT)
        _, _, _, directory = get_default_verify_paths()
        given = "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ
        if not given and _has_hashed(directory):
            made.load_verify_locations(None, directory, None)
        else:
            made.set_default_verify_paths()
        _context = made
    return _context


def _has_hashed(directory: str) -> bool:
    """Whether OpenSSL finds CAs in it by their hash."""
    try:
        return any(name.endswith(".0") for name in os.listdir(directory))
    except OSError:
        return False
