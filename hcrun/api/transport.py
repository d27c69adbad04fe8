"""One call of the Management API: retries, one deadline for all of them, no redirects.

`requests` has a time-out per read but none for the whole, follows redirects with the key in its
headers, and turns a redirected POST into a GET; so all three are done here. Each try has its own
connection: uwsgi closes the connection after each answer without saying so, and a kept one would
lose the next request now and then.
"""

import os
import random
import re
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError

from hcrun import __version__
from hcrun.api.answer import Answer
from hcrun.errors import ApiError
from hcrun.text import decimal

_LARGEST = 64_000_000  # bytes of an answer; 3,000 checks are 3 MB


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: a redirect is an answer. Otherwise a broken Location would raise anything."""


class Caller:
    """Calls of one server with one key."""

    def __init__(self, url: str, key: str, timeout: float, tries: int, delay: float) -> None:
        self.url = api_url(url)
        self._timeout, self._tries, self._delay = timeout, tries, delay
        self._headers = {"User-Agent": f"hcrun/{__version__}", "X-Api-Key": key}
        self._headers["Connection"] = "close"
        self._verify = _trusted()

    def __call__(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: list[tuple[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """Call until there is a final answer, for three time-outs at most.

        A request that is not repeatable is sent again only if the server cannot have acted on it.
        """
        until = time.monotonic() + 3 * self._timeout
        tries = 0
        while True:
            tries += 1
            answer = self._once(
                method,
                path,
                until,
                tries,
                json=body,
                params=query,
                headers=self._headers | (headers or {}),
            )
            wait = answer.retry_after or self._delay * 2 ** (tries - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - to spread retries
            if (
                not answer.retryable
                or (answer.uncertain and not repeatable)
                or tries >= self._tries
                or time.monotonic() + wait >= until
            ):
                return answer
            time.sleep(wait)

    def _once(self, method: str, path: str, until: float, tries: int, **parts: Any) -> Answer:
        left = max(0.1, min(self._timeout, until - time.monotonic()))
        try:
            with (
                _Session() as session,
                session.request(
                    method,
                    f"{self.url}/{path}",
                    timeout=left,
                    allow_redirects=False,
                    stream=True,
                    verify=self._verify,
                    **parts,
                ) as reply,
            ):
                return Answer(
                    reply.status_code,
                    _text(reply, until),
                    reply.headers.get("Location", ""),
                    float(decimal(reply.headers.get("Retry-After", "")) or 0),
                    tries=tries,
                    path=path,
                )
        except (requests.RequestException, HTTPError, TimeoutError) as error:
            why, sent, rejected = _explain(error)
            return Answer(0, error=why, sent=sent, tries=tries, rejected=rejected)


def api_url(given: str) -> str:
    """`https://hc.example.com`, with or without /api/v1, 2 or 3 -> https://hc.example.com/api/v3.

    Raises ApiError if it is not an http(s) URL, or is the URL for pings.
    """
    right = "set it to a URL like https://hc.example.com/api/v3"
    try:
        parts = urlsplit(given.strip())
        parts.port  # noqa: B018 - raises ValueError when it is no number
    except ValueError:
        raise ApiError("not a URL", where="HEALTHCHECKS_API_URL", hint=right) from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ApiError("not an http(s) URL", where="HEALTHCHECKS_API_URL", hint=right)
    path = parts.path.rstrip("/")
    if path.endswith("/ping") or parts.hostname == "hc-ping.com":
        raise ApiError("this is the URL for pings", where="HEALTHCHECKS_API_URL", hint=right)
    path = re.sub("(/+api)?(/+v[123])?$", "", path, count=1)
    return f"{parts.scheme.lower()}://{parts.netloc}{path}/api/v3"


def _trusted() -> str | bool:
    """The CAs that pings trust too (hcrun.ping.tls), instead of those of requests.

    The system's hashed directory if there is one: reading its one big file takes 20 ms per call.
    """
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if given := os.environ.get(name):
            return given
    defaults = ssl.get_default_verify_paths()
    if defaults.capath and any(name.endswith(".0") for name in os.listdir(defaults.capath)):
        return defaults.capath
    return defaults.cafile or True


def _text(reply: requests.Response, until: float) -> str:
    """The body. `iter_content` would wait for a whole chunk, however slowly it comes."""
    data = bytearray()
    while chunk := reply.raw.read1(65536, decode_content=True):
        data += chunk
        if time.monotonic() > until:
            raise TimeoutError
        if len(data) > _LARGEST:
            raise requests.RequestException(f"sends more than {_LARGEST:,} bytes")
    return data.decode("utf-8", "replace")


def _explain(error: Exception) -> tuple[str, bool, bool]:
    """Why there is no answer, whether the request was sent, and whether that is final."""
    if isinstance(error, TimeoutError | requests.ReadTimeout | ReadTimeoutError):
        return "did not answer in time", True, False
    if isinstance(error, requests.ConnectTimeout):
        return "cannot be reached: it does not answer", False, False
    if isinstance(error, requests.exceptions.SSLError):
        text = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            reason = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
            return f"has an untrusted certificate: {reason}", False, True
        return "does not speak TLS on this port", False, True
    if isinstance(error, requests.exceptions.ProxyError):
        return "cannot be reached through the proxy of the environment", False, False
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, NameResolutionError):
        return "cannot be reached: its host name does not resolve", False, False
    if isinstance(cause, NewConnectionError):
        # "... Failed to establish a new connection: [Errno 111] Connection refused"
        return f"cannot be reached: {str(cause).rpartition('] ')[2]}", False, False
    if "BadStatusLine(" in str(error):
        return "does not speak HTTP on this port", True, False
    if isinstance(error, requests.ConnectionError | HTTPError):
        return "closed the connection before a complete answer", True, False
    return str(error) or type(error).__name__, True, True
