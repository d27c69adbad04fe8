"""The files of TLS, read before a server is asked: a wrong one says nothing about the server."""

from __future__ import annotations

import ssl

from probes.framework.probe import UnknownError


def context(
    cafile: str | None = None, certfile: str | None = None, keyfile: str | None = None
) -> ssl.SSLContext:
    """Trust what is in `cafile`, else what the system does. Raises BlindError, which names a file.

    `certfile` and `keyfile` are the client's own.
    """
    path = cafile
    try:
        made = ssl.create_default_context(cafile=cafile)
        if certfile:
            path = certfile
            # Else OpenSSL asks a terminal for the password of a key, and waits.
            made.load_cert_chain(certfile, keyfile, password="")
    except ssl.SSLError:
        what = "has no certificates in PEM format"
        if path == certfile:
            what = "certificate and key are not in PEM format, do not fit, or want a password"
        raise UnknownError(what, where=path or "") from None
    except OSError as error:
        raise UnknownError(error.strerror or str(error), where=path or "") from None
    return made


def check(*files: str | None) -> None:
    """Raises BlindError as `context` does, where a library makes its own of these files."""
    if any(files):
        context(*files)
