"""HTTP for the probes: requests, within a probe's deadline and with bounded answers.

Redirects are answers and are not followed, so that a token stays with the server it is meant for.
Proxies, netrc files and CA bundles in the environment are not used. A server may listen on a Unix
socket: http://unix:/run/api.sock:/path, as nginx writes it.
"""

import http.client
import io
import json
import re
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import click
import requests
import urllib3
from requests.adapters import HTTPAdapter

from hcrun import __version__
from hcrun.units import volume
from probes.clients import certificate, tls
from probes.framework.options import FILE, Option, option
from probes.framework.probe import Context, CriticalError, UnknownError

BODY_CAP = 1_000_000  # bytes that are read of an answer, unless a Site has another limit
_BLOCK = 65536
_UNIX = re.compile(r"http://unix:(/[^:]+)(?::(/.*)?)?")


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # by name, in any case
    body: bytes
    is_cut: bool = False  # the server sent more, which was not read
    seconds: float = 0.0  # from the request, or from connecting if needed, to the end of the body

    @property
    def phrase(self) -> str:
        """`503 Service Unavailable`, with the standard's phrase instead of the server's."""
        return f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()

    @property
    def redirect(self) -> str:
        """The target of a redirect or "", without password and query, which may hold a token."""
        if self.status not in (301, 302, 303, 307, 308):
            return ""
        address = re.split(r"[?#]", self.headers.get("location") or "")[0]
        return re.sub(r"//[^/]*@", "//", address)[:300]

    def json(self) -> Any:
        """The body as JSON. Raises ValueError with the reason why it is not JSON."""
        if self.is_cut:
            raise ValueError(f"has over {volume(len(self.body))}")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type") or "of unknown type"
            raise ValueError(f"is not JSON but {kind}" if self.body else "is empty") from None


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer."""


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


class _Adapter(HTTPAdapter):
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
            raise CriticalError(_reason(cause), where=self._context.verdict.target) from None

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
        response.raw = io.BytesIO(bytes(body))
        return response


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


class Site:
    """An HTTP server at a base URL. Close it, or use it in a `with` block.

    Connections are kept for as long as the server keeps them. `cap` limits the bytes that are
    read of an answer. `host` is the Host header and the name in the certificate, instead of the
    host of the URL. `session` is for libraries that bring their own requests.
    """

    def __init__(
        self,
        context: Context,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        cafile: str | None = None,
        verify: bool = True,
        cap: int = BODY_CAP,
        host: str = "",
    ) -> None:
        unix = _UNIX.fullmatch(url)
        self.url = (f"http://localhost{unix[2] or ''}" if unix else url).rstrip("/")
        self._cap = cap
        self._tls = tls.context(cafile) if self.url.startswith("https:") else None
        if self._tls and not verify:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.session = _Session()
        self.session.trust_env = False
        self.session.verify = verify
        self.session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": f"hcrun/{__version__} probe", "Accept-Encoding": "identity"}
        )
        self.session.headers.update(headers or {})
        if host:
            self.session.headers["Host"] = host
        adapter = _Adapter(context, self._tls, cap, host, unix[1] if unix else "")
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    @property
    def certificate_left(self) -> float | None:
        """Seconds for which the server's certificate is valid; None without TLS or verification."""
        return certificate.last_left(self._tls) if self.session.verify else None

    def get(
        self, path: str, timeout: float | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET the base URL with `path` after it, within `timeout` seconds and the deadline.

        Raises CriticalError and TimeoutError.
        """
        return self.answer(self.session.get(self.url + path, timeout=timeout, headers=headers))

    def answer(self, response: requests.Response) -> Answer:
        """The answer in a response to this session."""
        body = response.content
        is_cut = len(body) > self._cap
        seconds = response.elapsed.total_seconds()
        return Answer(response.status_code, response.headers, body[: self._cap], is_cut, seconds)


def secret(context: Context, variable: str) -> str:
    """A secret for a header, from its variable and not from a URL; "" for none."""
    value = context.source.secret(variable, part="")
    if not value.isascii() or not value.isprintable():
        # requests would refuse it too, with a message that repeats it.
        raise UnknownError("has characters that a header cannot have", where=variable)
    return value


def basic(context: Context) -> dict[str, str]:
    """The header for user and password of the URL's variable, if that URL is the one in use."""
    parts = context.source.parts
    if "user" not in parts or parts["url"] != context.options["url"]:
        return {}
    token = b64encode(f"{parts['user']}:{parts['password']}".encode()).decode()
    context.source.secrets |= {parts["password"], token} - {""}
    return {"Authorization": f"Basic {token}"}


def refused(
    answer: Answer, what: str, credentials: str, *, given: bool
) -> CriticalError | UnknownError:
    """The error to raise when `what` did not answer 200.

    `credentials` names what holds them, such as a variable; `given` says that they were sent.
    """
    text = f"{what} answers {answer.phrase}"
    if answer.status == 401:
        return UnknownError(text, hint=f"{'check' if given else 'set'} {credentials}")
    if answer.status == 403:
        hint = f"{credentials} may lack a permission" if given else f"set {credentials}"
        return UnknownError(text, hint=hint)
    if answer.status == 429:
        return UnknownError(text, hint="run the probe less often")
    if answer.redirect:
        return CriticalError(f"{text}: redirects to {answer.redirect}", hint="check the URL")
    return CriticalError(text)


def split_url(text: str) -> dict[str, str]:
    """A URL with or without credentials as texts by option name. Raises ValueError."""
    parts = urlsplit(text)
    address = parts.netloc.rpartition("@")[2]
    clean = _checked(parts._replace(netloc=address).geturl())
    result = {"url": clean}
    if parts.username is not None:
        result["user"] = unquote(parts.username)
        result["password"] = unquote(parts.password or "")
    return result


def url_option(
    flag: str, variable: str, text: str = "The address of the server.", default: str | None = None
) -> Option:
    return option(flag, variable, text, type=_base_url, default=default, metavar="URL")


def ca_option(variable: str) -> Option:
    return option("--tls-ca", variable, "Certificates to trust.", type=FILE)


def _base_url(text: str) -> str:
    if "@" in text:
        raise click.BadParameter("a URL with a password must be in a variable or a file")
    try:
        return _checked(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a URL; write it like https://host:port"
        ) from None


def _checked(url: str) -> str:
    """The base URL of a site, to which a path can be appended. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    if parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ValueError
    unix = _UNIX.fullmatch(url)
    return f"http://unix:{unix[1]}:{unix[2] or ''}" if unix else url
