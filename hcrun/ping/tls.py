"""TLS for pings: the system's CAs, looked up one by one instead of all read."""

from __future__ import annotations

import os
import ssl

from hcrun.ping.wire import ExplainedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

_contexts: list[ssl.SSLContext] = []


def context() -> ssl.SSLContext:
    """The context of this process, made once."""
    if not _contexts:
        _contexts.append(_context())
    return _contexts[0]


def _context() -> ssl.SSLContext:
    """Verifies against `$SSL_CERT_FILE` and `$SSL_CERT_DIR`, else the system's directory of CAs.

    Reading the system's one big file of CAs costs four bare interpreter starts; in its hashed
    directory OpenSSL opens just the one it needs.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    directory = ssl.get_default_verify_paths().capath
    given = "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ
    if directory and not given and any(name.endswith(".0") for name in os.listdir(directory)):
        made.load_verify_locations(capath=directory)
    else:
        made.set_default_verify_paths()
    return made


def wrap(connection: socket.socket, host: str) -> ssl.SSLSocket:
    """A connected plain socket -> a verified TLS one. Raises OSError."""
    import socket

    timeout = connection.gettimeout()
    full = socket.socket(fileno=connection.detach())
    full.settimeout(timeout)
    try:
        return context().wrap_socket(full, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        full.close()
        raise ExplainedError(
            f"{host}: its certificate is refused: {error.verify_message}"
        ) from None
    except ssl.SSLError as error:
        full.close()
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise ExplainedError(f"{host}: no TLS there: {reason}") from None
