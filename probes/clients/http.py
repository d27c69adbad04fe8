"""What the probes of HTTP services share: one site, asked over one connection.

Not requests: its time-outs and redirects would have to be undone, and importing it takes longer
than most looks. Redirects are never followed: they are an answer, and the token stays here.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from email.message import Message
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import click

from hcrun import __version__
from hcrun.units import volume
from probes.clients import tls
from probes.framework.probe import Context, CriticalError, UnknownError

BODY_CAP = 1_000_000  # bytes that are read of an answer, where nothing else is asked for


class Answer(NamedTuple):
    status: int
    headers: Message  # by name, in any case
    body: bytes
    is_cut: bool  # there was more, which was not read
    seconds: float  # from the request, or from connecting if that had to be, to the body's end

    @property
    def phrase(self) -> str:
        """`503 Service Unavailable`, in the standard's words and not the server's."""
        return f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()

    @property
    def redirect(self) -> str:
        """Where it redirects to, or "". Without password and query, which may hold a token."""
        if self.status not in (301, 302, 303, 307, 308):
            return ""
        address = re.split(r"[?#]", self.headers.get("location") or "")[0]
        return re.sub(r"//[^/]*@", "//", address)[:300]

    def json(self) -> Any:
        """The body as JSON. Raises ValueError, which says why it is none."""
        if self.is_cut:
            raise ValueError(f"has over {volume(len(self.body))}")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type") or "of unknown type"
            raise ValueError(f"is no JSON but {kind}" if self.body else "is empty") from None


class Site:
    """An HTTP server at a base URL; a connection is kept for as long as the server keeps it.

    `certificate_left` are the seconds for which its certificate is still valid, once it is known.
    """

    def __init__(
        self,
        context: Context,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        cafile: str | None = None,
        verify: bool = True,
    ) -> None:
        self._look = context
        self._headers = {"User-Agent": f"hcrun/{__version__} probe", **(headers or {})}
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        self._base = parts.path
        self.certificate_left: float | None = None
        host = parts.hostname or ""
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            tls_context = tls.context(cafile)
            if not verify:
                tls_context.check_hostname = False
                tls_context.verify_mode = ssl.CERT_NONE
            self._connection = http.client.HTTPSConnection(host, parts.port, context=tls_context)
        else:
            self._connection = http.client.HTTPConnection(host, parts.port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(
        self,
        path: str,
        timeout: float | None = None,
        *,
        cap: int = BODY_CAP,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET the base URL with `path` after it: see `request`."""
        return self.request("GET", path, timeout, cap=cap, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        timeout: float | None = None,
        *,
        body: bytes | None = None,
        cap: int = BODY_CAP,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for the base URL with `path` after it; at most `cap` bytes of the body are read.

        `timeout` seconds, else all that is left, are given to each step of it; the probe's
        deadline cares for the whole. It may be asked twice. Raises DownError and TimeoutError.
        """
        left = self._look.deadline.left()
        timeout = min(timeout or left, left)
        headers = self._headers | dict(headers or {})
        try:
            is_kept = self._connection.sock is not None
            try:
                return self._ask(method, path, timeout, body, cap, headers)
            except (ConnectionError, http.client.BadStatusLine):
                if not is_kept:
                    raise
                # The server may hang up on a connection that it kept; that is no failure.
                self._connection.close()
                return self._ask(method, path, timeout, body, cap, headers)
        except TimeoutError:
            self._connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise CriticalError(_words(error), where=self._look.verdict.target) from None

    def _ask(
        self,
        method: str,
        path: str,
        timeout: float,
        body: bytes | None,
        cap: int,
        headers: Mapping[str, str],
    ) -> Answer:
        connection = self._connection
        started = time.perf_counter()
        connection.timeout = timeout
        if connection.sock is None:
            connection.connect()
            if isinstance(connection.sock, ssl.SSLSocket):
                certificate: dict[str, Any] = connection.sock.getpeercert() or {}
                if end := certificate.get("notAfter"):
                    self.certificate_left = ssl.cert_time_to_seconds(end) - time.time()
        else:
            connection.sock.settimeout(timeout)
        connection.request(method, self._base + path, body, headers)
        response = connection.getresponse()
        answer = response.read(cap + 1)
        is_cut = len(answer) > cap
        if is_cut:
            connection.close()
        elif response.length:  # read(n) itself does not mind
            raise http.client.IncompleteRead(answer, response.length)
        seconds = time.perf_counter() - started
        return Answer(response.status, response.headers, answer[:cap], is_cut, seconds)


def _words(error: Exception) -> str:
    """What went wrong, for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, http.client.RemoteDisconnected):
        return "hangs up without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "hangs up in the middle of its answer"
    if isinstance(error, http.client.BadStatusLine):
        return f"answers something that is not HTTP: {str(error)[:60]}"
    if isinstance(error, http.client.HTTPException):
        return f"answers with broken HTTP: {error or type(error).__name__}"
    return getattr(error, "strerror", None) or str(error)


def secret(context: Context, variable: str) -> str:
    """A secret for a header, from its variable and no URL; "" for none."""
    value = context.source.secret(variable, part="")
    if not value.isascii() or not value.isprintable():
        # http.client would say so too, and repeat it.
        raise UnknownError("has characters that a header cannot have", where=variable)
    return value


def basic(context: Context) -> dict[str, str]:
    """The header for the user and password of the URL's variable, if that URL is the one used."""
    parts = context.source.parts
    if "user" not in parts or parts["url"] != context.options["url"]:
        return {}
    token = b64encode(f"{parts['user']}:{parts['password']}".encode()).decode()
    context.source.secrets |= {parts["password"], token} - {""}
    return {"Authorization": f"Basic {token}"}


def refused(
    answer: Answer, what: str, credentials: str, *, given: bool
) -> CriticalError | UnknownError:
    """Why `what` did not answer 200, as an error to raise.

    `credentials` is what holds them, such as a variable; they were `given` or not.
    """
    text = f"{what} answers {answer.phrase}"
    if answer.status == 401:
        return UnknownError(text, hint=f"{'check' if given else 'set'} {credentials}")
    if answer.status == 403:
        hint = f"{credentials} may lack a right" if given else f"set {credentials}"
        return UnknownError(text, hint=hint)
    if answer.status == 429:
        return UnknownError(text, hint="ask less often")
    if answer.redirect:
        return CriticalError(
            f"{text}: redirects to {answer.redirect}", hint="is that the right URL?"
        )
    return CriticalError(text)


def split_url(text: str) -> dict[str, str]:
    """A URL with or without credentials -> texts by option name. Raises ValueError."""
    parts = urlsplit(text)
    address = parts.netloc.rpartition("@")[2]
    clean = parts._replace(netloc=address).geturl()
    _check(clean)
    result = {"url": clean}
    if parts.username is not None:
        result["user"] = unquote(parts.username)
        result["password"] = unquote(parts.password or "")
    return result


def base_url(text: str) -> str:
    """The type of an option that holds a URL."""
    if "@" in text:
        raise click.BadParameter("a password is not for the command line: put the URL in a file")
    try:
        _check(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no URL; write it like https://host:port") from None
    return text


def _check(url: str) -> None:
    """Raises ValueError if `url` is not the base of a site."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    if parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ValueError
