"""The part of S3 that a probe needs: signed requests over one connection that is kept.

boto3 would take half a second to import and to read its description of S3, a probe every minute.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

import click

from probes.probe import Look

LARGEST = 16_000_000  # bytes of an answer that are read; metrics of many drives are a few million

Sign = Callable[[str, str, bytes], Mapping[str, str]]  # method, path, body -> headers


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in lower case
    text: str

    @property
    def code(self) -> str:
        """The name of an S3 error, such as NoSuchBucket, or "" where there is none."""
        match = re.search(r"<Code>(\w+)</Code>", self.text)
        return match[1] if match else ""


class Server:
    """One kept connection; requests are signed when there are keys."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.url: SplitResult = look.options["endpoint"]
        self.key: str = look.options["access_key"] or ""
        self.secret = look.source.secret("S3_SECRET_ACCESS_KEY")
        self.signed = bool(self.key and self.secret)
        self._sign: Sign | None = None
        if self.signed and look.options["bucket"]:  # nothing else wants botocore
            self._sign = _signer(self.url, self.key, self.secret, look.options["region"])
        host, port = self.url.hostname or "", self.url.port
        look.at(host, port or (443 if self.url.scheme == "https" else 80))
        if self.url.scheme == "https":
            context = ssl.create_default_context(cafile=look.options["tls_ca"])
            self.connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, context=context
            )
        else:
            self.connection = http.client.HTTPConnection(host, port)

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Raises OSError and http.client.HTTPException."""
        connection, left = self.connection, self.look.deadline.left()
        connection.timeout = left
        if connection.sock:
            connection.sock.settimeout(left)
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        text = response.read(LARGEST).decode(errors="replace")
        if not response.isclosed():  # there is more of it, before the next answer
            connection.close()
        lower = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, lower, text)

    def s3(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """An S3 request. `path` is `/bucket` or `/bucket/key`."""
        words = (f"{name}={quote(str(value), safe='')}" for name, value in (query or {}).items())
        path = quote(path) + ("?" + "&".join(words) if query else "")
        headers = self._sign(method, path, body) if self._sign else {}
        return self.ask(method, path, headers, body)


def _signer(url: SplitResult, key: str, secret: str, region: str) -> Sign:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    auth = S3SigV4Auth(Credentials(key, secret), "s3", region)

    def sign(method: str, path: str, body: bytes) -> Mapping[str, str]:
        request = AWSRequest(method, f"{url.scheme}://{url.netloc}{path}", data=body)
        auth.add_auth(request)
        return dict(request.headers)

    return sign


def endpoint(text: str) -> SplitResult:
    """http://host:9000 or https://host; the text is not repeated, somebody's keys may be in it."""
    wrong = click.BadParameter("is no endpoint; write it like https://minio.example.org:9000")
    try:
        url = urlsplit(text)
        _ = url.port  # raises ValueError, too
    except ValueError:
        raise wrong from None
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise wrong
    if url.path.strip("/") or url.query or url.fragment:
        raise wrong
    return url
