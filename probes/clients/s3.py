"""The part of S3 that a probe needs: signed requests, over the connection of a Site.

boto3 would take half a second to import and to read its description of S3, a probe every minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlsplit

from probes.clients import http
from probes.framework.probe import Context

LARGEST = 16_000_000  # bytes of an answer that are read: a thousand objects with long names

Sign = Callable[[str, str, bytes | None], Mapping[str, str]]  # method, path, body -> headers


class Storage(http.Site):
    """An S3 server. Requests are signed when there are keys."""

    def __init__(self, context: Context) -> None:
        options = context.options
        super().__init__(context, options["endpoint"], cafile=options["tls_ca"])
        address = urlsplit(self.url)
        context.at(
            address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
        )
        self.key: str = options["access_key"] or ""
        self.secret = context.source.secret("S3_SECRET_ACCESS_KEY")
        self.is_signed = bool(self.key and self.secret)
        self._sign: Sign | None = None
        if self.is_signed and options["bucket"]:  # nothing else wants botocore
            self._sign = _signer(self.url, self.key, self.secret, options["region"])

    def s3(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
    ) -> http.Answer:
        """An S3 request. `path` is `/bucket` or `/bucket/key`."""
        words = (f"{name}={quote(str(value), safe='')}" for name, value in (query or {}).items())
        path = quote(path) + ("?" + "&".join(words) if query else "")
        headers = self._sign(method, path, body) if self._sign else {}
        return self.request(method, path, body=body, cap=LARGEST, headers=headers)


def _signer(url: str, key: str, secret: str, region: str) -> Sign:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    auth = S3SigV4Auth(Credentials(key, secret), "s3", region)

    def sign(method: str, path: str, body: bytes | None) -> Mapping[str, str]:
        request = AWSRequest(method, url + path, data=body)
        auth.add_auth(request)
        return dict(request.headers)

    return sign


def error_code(answer: http.Answer) -> str:
    """The name of an S3 error, such as NoSuchBucket, or "" where there is none."""
    match = re.search(rb"<Code>(\w+)</Code>", answer.body)
    return match[1].decode() if match else ""
