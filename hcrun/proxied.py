"""A POST through the proxy that HTTP(S)_PROXY names, unless NO_PROXY has the host."""

from __future__ import annotations

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from hcrun import __version__
from hcrun.http import Reply
from hcrun.tls import context


class _SystemTrust(HTTPAdapter):
    """The system's CAs; requests brings its own otherwise."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=context(), **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=context(), **options)


def post_by_proxy(url: str, body: bytes, timeout: float) -> Reply:
    """As `hcrun.http.post`; the time-out is for connecting and for each read."""
    headers = {"User-Agent": f"hcrun/{__version__}", "Content-Type": "text/plain; charset=utf-8"}
    with requests.Session() as session:
        session.mount("https://", _SystemTrust())
        try:
            answer = session.post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            )
        except requests.RequestException as error:
            return Reply(0, _short(error))
    reply = Reply(answer.status_code)
    reply.headers = {name.lower(): value for name, value in answer.headers.items()}
    reply.text = answer.text[:1000].strip()
    return reply


def _short(error: Exception) -> str:
    """The innermost cause: the outer ones repeat the URL, a secret."""
    cause: BaseException = error
    while cause.args and isinstance(cause.args[0], BaseException):
        cause = cause.args[0]
    reason = getattr(cause, "reason", None)
    if isinstance(reason, (OSError, ssl.SSLError, Exception)):
        cause = reason
    return f"through the proxy: {type(cause).__name__}"
