"""Where a redirect leads. Rare: what it imports is loaded for it alone."""

from __future__ import annotations

from urllib.parse import urljoin

from hcrun.ping.wire import Address


def follow(url: str, location: str) -> str:
    """The next URL. User and password go along to the same host only.

    Raises ValueError, whose words follow on "the server redirects".
    """
    old = Address(url)
    try:
        there = urljoin(url, location)
        new = Address(there)
    except ValueError as error:
        raise ValueError(f"to nowhere: {error}") from None
    if new.scheme not in ("http", "https") or not new.host:
        raise ValueError("to what is no http or https URL")
    if old.scheme == "https" and new.scheme != "https":
        raise ValueError("away from https")
    same = (old.scheme, old.host, old.port) == (new.scheme, new.host, new.port)
    upgraded = old.host == new.host and (old.port, new.port) == (80, 443)
    if old.credentials and not new.credentials and (same or upgraded):
        return f"{new.scheme}://{old.credentials}@{new.netloc}{new.target}"
    return there
