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


def is_spoken(host: str, port: int, seconds: float) -> bool:
    """True if a TLS handshake succeeds there; nothing is verified."""
    return certificate_left(host, port, seconds) is not None


def other_protocol(
    context: Context,
    host: str,
    port: int,
    is_tls: bool,
    question: bytes,
    answers: tuple[bytes, ...],
) -> str:
    """What is wrong if the port speaks TLS and the probe does not, or the other way; else ""."""
    try:
        left = min(TEST, context.deadline.left())
    except TimeoutError:
        return ""
    if not is_tls:
        return "the port speaks TLS" if is_spoken(host, port, left) else ""
    is_plain = plain_answer(host, port, left, question).startswith(answers)
    return "the port does not speak TLS" if is_plain else ""


def plain_answer(host: str, port: int, seconds: float, question: bytes) -> bytes:
    """The beginning of the answer without TLS; b"" for none."""
    try:
        with socket.create_connection((host, port), seconds) as connection:
            connection.sendall(question)
            return connection.recv(64)
    except OSError:
        return b""


def mismatch(host: str, port: int, seconds: float, error: object, *, wanted: bool) -> str:
    """What `error` means if only one side speaks TLS; "" if it means something else."""
    if wanted and not re.search(_PLAIN, str(error)):
        return ""
    if is_spoken(host, port, seconds) == wanted:
        return ""
    return f"the port {'does not speak' if wanted else 'speaks'} TLS"


# What OpenSSL, and the kernel, say of a server that does not speak TLS.
_PLAIN = r"(?i)wrong.version|record.layer|unexpected.eof|eof occurred|reset|closed"
