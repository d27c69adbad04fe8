"""TLS files, read before the connection: a wrong file says nothing about the server."""

import re
import socket
import ssl

from probes.clients.certificate import KeepingSocket, time_left
from probes.framework.probe import Context, UnknownError

TEST = 1.0  # seconds for the question whether a port speaks TLS


def context(
    cafile: str | None = None, certfile: str | None = None, keyfile: str | None = None
) -> ssl.SSLContext:
    """A context that trusts `cafile`, else what the system trusts.

    `certfile` and `keyfile` are those of the client. Raises UnknownError, which names a file.
    """
    path = cafile
    try:
        made = ssl.create_default_context(cafile=cafile)
        made.sslsocket_class = KeepingSocket
        if certfile:
            path = certfile
            # Without a password OpenSSL would ask for it on the terminal.
            made.load_cert_chain(certfile, keyfile, password="")
    except ssl.SSLError:
        what = "has no certificates in PEM format"
        if path == certfile:
            what = "certificate and key are not in PEM format, do not match, or need a password"
        raise UnknownError(what, where=path or "") from None
    except OSError as error:
        raise UnknownError(error.strerror or str(error), where=path or "") from None
    return made


def check(*files: str | None) -> None:
    """Raises UnknownError as `context` does, for a library that reads the files itself."""
    if any(files):
        context(*files)


def certificate_left(host: str, port: int, seconds: float) -> float | None:
    """Seconds for which the server's certificate is valid; nothing is verified.

    It is None if no TLS handshake succeeds there.
    """
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), seconds) as connection,
            unverified.wrap_socket(connection, server_hostname=host) as secure,
        ):
            return time_left(secure)
    except OSError:
        return None


def other_protocol(
    context: Context, host: str, port: int, is_tls: bool, *, protocol: str = "", error: object = ""
) -> str:
    """What is wrong if the port speaks TLS and the probe does not, or the other way; else "".

    Without TLS a server of a protocol in _PLAIN waits for more; of others, `error` tells.
    """
    try:
        left = min(TEST, context.deadline.left())
    except TimeoutError:
        return ""
    if is_tls and protocol:
        is_spoken = not _answers_plainly(host, port, left, *_PLAIN[protocol])
    elif is_tls and not re.search(_NO_TLS, str(error)):
        return ""
    else:
        is_spoken = certificate_left(host, port, left) is not None
    if is_spoken == is_tls:
        return ""
    return f"the port {'does not speak' if is_tls else 'speaks'} TLS"


def _answers_plainly(host: str, port: int, seconds: float, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection((host, port), seconds) as connection:
            connection.sendall(question)
            return bool(re.match(answer, connection.recv(64)))
    except OSError:
        return False


# A question without TLS, and the pattern of its answer.
_PLAIN = {"redis": (b"PING\r\n", rb"\+PONG|-"), "amqp": (b"AMQP\0\0\x09\x01", rb"\x01\0\0|AMQP")}
# What OpenSSL, and the kernel, say of a server that does not speak TLS.
_NO_TLS = r"(?i)wrong.version|record.layer|unexpected.eof|eof occurred|reset|closed"
