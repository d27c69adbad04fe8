"""HTTP for the probes: requests, within a probe's deadline and with bounded answers.

Redirects are answers and are not followed, so that a token stays with the server it is meant for.
Proxies, netrc files and CA bundles in the environment are not used. A server may listen on a Unix
socket: http://unix:/run/api.sock:/path, as nginx writes it.
"""

import http.client
import json
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import click
import requests
import urllib3

from hcrun import __version__
from hcrun.units import volume
from probes.clients import certificate, tls
from probes.clients.http_adapter import Adapter
from probes.framework.options import UrlError
from probes.framework.probe import Context, CriticalError, ProbeError, UnknownError
from probes.framework.verdict import Reading

BODY_CAP = 1_000_000  # bytes that are read of an answer, unless a Site has another limit
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
        self._context = context
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
        adapter = Adapter(context, self._tls, cap, host, unix[1] if unix else "")
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def answered(self, answer: Answer) -> None:
        """Add the readings of the latency and of the certificate."""
        self._context.answered(answer.seconds)
        self._context.add(*self.certificate())

    def certificate(self) -> Iterator[Reading]:
        """The reading of the server's certificate; none without TLS or verification."""
        left = certificate.last_left(self._tls) if self.session.verify else None
        return certificate.evaluate(left, self._context.ranges)

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


def refused(answer: Answer, what: str, credentials: str, *, given: bool) -> ProbeError:
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


def base_url(text: str) -> str:
    if "@" in text:
        raise click.BadParameter("a URL with a password must be in a variable or a file")
    try:
        return _checked(text)
    except ValueError as error:
        problem = str(error) if isinstance(error, UrlError) else "is not a URL"
        raise click.BadParameter(f"{text!r} {problem}; write it like https://host:port") from None


def _checked(url: str) -> str:
    """The base URL of a site, to which a path can be appended. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or "://" not in url:
        raise UrlError("does not begin with http:// or https://")
    if parts.query:
        name = re.split("[=&]", parts.query)[0]
        raise UrlError(f"has the parameter {name}, which the probe does not understand")
    if not parts.hostname or parts.port == 0 or "#" in url or not re.fullmatch(r"[!-~]+", url):
        raise ValueError
    unix = _UNIX.fullmatch(url)
    return f"http://unix:{unix[1]}:{unix[2] or ''}" if unix else url
