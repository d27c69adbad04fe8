"""TLS for pings. CAs are looked up one by one instead of all being read."""

import os
import socket
import ssl
from _socket import socket as plain_socket
from functools import cache  # ssl loads it anyway

from hcrun.ping.http import ExplainedError


@cache
def context() -> ssl.SSLContext:
    """The TLS context of this process.

    It trusts `$SSL_CERT_FILE` and `$SSL_CERT_DIR`, else the system's CAs. Reading the system's one
    big file of CAs costs four bare interpreter starts; from its hashed directory OpenSSL opens only
    the one that it needs.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    directory = ssl.get_default_verify_paths().capath
    given = "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ
    if directory and not given and any(name.endswith(".0") for name in os.listdir(directory)):
        made.load_verify_locations(capath=directory)
    else:
        made.set_default_verify_paths()
    return made


def wrap(connection: plain_socket, host: str) -> ssl.SSLSocket:
    """Turn a connected socket into a verified TLS one. Raises OSError."""
    timeout = connection.gettimeout()
    full = socket.socket(fileno=connection.detach())
    full.settimeout(timeout)
    try:
        return context().wrap_socket(full, server_hostname=host)
    except ssl.SSLError as error:
        full.close()
        why = "TLS failed: " + (error.reason or str(error)).replace("_", " ").lower()
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate was rejected: {error.verify_message}"
        raise ExplainedError(f"{host}: {why}") from None
