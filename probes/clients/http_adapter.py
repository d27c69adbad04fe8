"""The transport of probes.clients.http: within the probe's deadline, with bounded answers."""

import http.client
import io
import re
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from probes.clients import tls
from probes.framework.probe import Context, CriticalError, UnknownError

_BLOCK = 65536


def _unix_pool(path: str) -> type[urllib3.HTTPConnectionPool]:
    """Connections to a Unix socket, whatever the host is."""

    class Connection(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(self.timeout)
                connection.connect(path)
            except OSError:
                connection.close()
                raise
            return connection

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    return Pool


class Adapter(HTTPAdapter):
    """Sends requests within the probe's deadline and reads at most `cap` bytes of an answer.

    requests itself limits only the time of each read. `send` raises CriticalError and
    TimeoutError.
    """

    def __init__(
        self, context: Context, tls_context: ssl.SSLContext | None, cap: int, host: str, path: str
    ) -> None:
        """`host` is the name in the certificate, "" for that of the URL; `path` a Unix socket's."""
        self._context = context
        self._tls = tls_context
        self._cap = cap
        self._name = {"server_hostname": host.partition(":")[0]} if tls_context and host else {}
        self._path = path
        self._is_kept = False  # the last connection may be used again
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        options |= self._name
        super().init_poolmanager(*arguments, ssl_context=self._tls, **options)
        if self._path:
            self.poolmanager.pool_classes_by_scheme = {"http": _unix_pool(self._path)}

    def cert_verify(self, *_: object) -> None:
        """Add no certificates to those that the TLS context trusts."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - as in requests
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,  # noqa: ARG002 - as in requests
        proxies: Any = None,  # noqa: ARG002 - as in requests
    ) -> requests.Response:
        left = self._context.deadline.left()
        timeout = min(timeout or left, left)
        was_kept, self._is_kept = self._is_kept, False
        try:
            try:
                return self._send(request, timeout, verify)
            except (OSError, urllib3.exceptions.HTTPError) as error:
                # A server may close a connection that it kept; only a new one counts.
                if not was_kept or not isinstance(_cause(error), _CLOSED):
                    raise
                return self._send(request, timeout, verify)
        except (OSError, urllib3.exceptions.HTTPError) as error:
            cause = _cause(error)
            if isinstance(cause, TimeoutError | requests.Timeout):
                raise TimeoutError from None
            if isinstance(cause, PermissionError):
                hint = "let its group read and write the socket, and add this user to it"
                raise UnknownError(
                    _reason(cause), where=self._context.verdict.target, hint=hint
                ) from None
            raise self._critical(*self._what_is_wrong(request.url or "", cause)) from None

    def _what_is_wrong(self, url: str, cause: BaseException) -> tuple[str, str]:
        """The reason for an error of the connection, and a hint."""
        address = urlsplit(url)
        has_tls = self._tls is not None
        if not self._path and isinstance(cause, (*_CLOSED, ssl.SSLError)):
            port = address.port or (443 if has_tls else 80)
            host = address.hostname or ""
            if found := tls.other_protocol(self._context, host, port, has_tls, error=cause):
                return found, f"write {'http' if has_tls else 'https'}:// in the URL"
        return _reason(cause), ""

    def _critical(self, text: str, hint: str) -> CriticalError:
        return CriticalError(text, where=self._context.verdict.target, hint=hint)

    def _send(
        self, request: requests.PreparedRequest, timeout: float, verify: Any
    ) -> requests.Response:
        started = time.monotonic()
        response = super().send(request, stream=True, timeout=timeout, verify=verify)
        body = bytearray()
        while len(body) <= self._cap:
            block = response.raw.read1(_BLOCK, decode_content=False)
            if not block:
                break
            body += block
            if time.monotonic() > started + timeout:
                response.close()
                raise TimeoutError
        if len(body) > self._cap:
            response.close()
        else:
            self._is_kept = response.headers.get("connection", "").lower() != "close"
        if response.status_code == 400 and _WANTS_TLS.search(body):
            raise self._critical("the port speaks TLS", "write https:// in the URL")
        response.raw = io.BytesIO(bytes(body))
        return response


# What nginx, Go and Apache say.
_WANTS_TLS = re.compile(rb"to (?:an )?HTTPS (?:port|server)|to an SSL-enabled server")
_CLOSED = (ConnectionError, http.client.BadStatusLine)


def _cause(error: BaseException) -> BaseException:
    """The error of the socket, of TLS or of http.client within those of requests and urllib3."""
    while isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
        if isinstance(error, http.client.HTTPException):
            break
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        cause = error.__cause__ or (inner[0] if inner else error.__context__)
        if cause is None:
            break
        error = cause
    return error


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "closes the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "closes the connection in the middle of its answer"
    if isinstance(error, http.client.BadStatusLine):
        return f"answers something that is not HTTP: {str(error)[:60]}"
    if isinstance(error, http.client.HTTPException):
        return f"answers with broken HTTP: {error or type(error).__name__}"
    return getattr(error, "strerror", None) or str(error)
