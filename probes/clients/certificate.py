"""How long the certificate of a TLS service is valid."""

import re
import socket
import ssl
import struct
import time
from calendar import timegm
from collections.abc import Iterator
from typing import Any

from hcrun.units import span
from probes.framework.probe import Ranges
from probes.framework.verdict import Reading

# When a certificate begins and ends, as it is encoded; the year has two or four digits.
_VALIDITY = re.compile(
    rb"0.(?:\x17\r\d{12}|\x18\x0f\d{14})Z(?:\x17\r|\x18\x0f)(\d{12,14})Z", re.DOTALL
)

_CHECKING = {"require", "verify-ca", "verify-full"}  # sslmode of who insists on TLS
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class KeepingSocket(ssl.SSLSocket):
    """A socket that keeps the time of the certificate in its context, which outlives it."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        vars(self.context)["left"] = time_left(self)


def time_left(connection: object) -> float | None:
    """Seconds for which the server's certificate is valid; None without TLS.

    Python parses only certificates that it has verified, so this reads the encoded one.
    """
    if not isinstance(connection, ssl.SSLSocket):
        return None
    found = _VALIDITY.search(connection.getpeercert(True) or b"")
    if not found:
        return None
    end = found[1].decode()
    if len(end) == 12:
        end = ("19" if end >= "50" else "20") + end
    return timegm(time.strptime(end, "%Y%m%d%H%M%S")) - time.time()


def last_left(tls: ssl.SSLContext | None) -> float | None:
    """`time_left` of the last connection with a context whose sockets keep it."""
    left: float | None = vars(tls).get("left") if tls else None
    return left


def postgres_left(connection: Any, seconds: float) -> float | None:
    """`time_left` of the server of a psycopg connection; None if its sslmode does not insist.

    libpq does not tell, so this begins another connection, and ends it before the log-in.
    """
    info = connection.info
    settings = info.get_parameters()
    if settings.get("sslmode") not in _CHECKING or not connection.pgconn.ssl_in_use:
        return None
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # libpq has verified it as it should
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    unverified.set_alpn_protocols(["postgresql"])
    host = info.hostaddr or info.host
    try:
        with socket.create_connection((host, info.port), seconds) as plain:
            if settings.get("sslnegotiation") != "direct":
                plain.sendall(_SSL_REQUEST)
                if plain.recv(1) != b"S":
                    return None
            with unverified.wrap_socket(plain, server_hostname=info.host) as secure:
                return time_left(secure)
    except OSError:
        return None


def evaluate(left: float | None, ranges: Ranges, of: str = "") -> Iterator[Reading]:
    """`left`: seconds for which the certificate is valid; None without one. `of`: " of HOST"."""
    if left is not None:
        text = f"certificate{of} valid for {span(left)}"
        if left < 0:
            text = f"certificate{of} expired {span(-left)} ago"
        hint = "check its automatic renewal"
        yield Reading("certificate", left, "s", text, *ranges["certificate"], hint=hint)
