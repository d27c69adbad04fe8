"""Proxies and redirects of pings: rare, so that both are loaded only where they are used.

The proxy is the one that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names, unless NO_PROXY has the host.
Not with `requests`: it costs ten times what the ping itself does, and brings its own CAs.
"""

import _socket as socket
import os
from urllib.parse import urljoin

from hcrun.ping.http import Address, read_head
from hcrun.text import printable


def proxy_for(address: Address, given: str) -> Address | None:
    """The proxy that `given` names, None if NO_PROXY has the host. Raises ValueError."""
    if _bypassed(address, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""):
        return None
    try:
        proxy = Address(given if "://" in given else f"http://{given}")
    except ValueError:
        proxy = None
    if proxy is None or proxy.scheme != "http" or not proxy.host:
        raise ValueError("the proxy in the environment must be like http://HOST:PORT")
    return proxy


def _bypassed(address: Address, no_proxy: str) -> bool:
    """`NO_PROXY=example.com,.corp,10.0.0.0/8,host:8000` or `*`; a name includes its subdomains."""
    host = address.host.lower().rstrip(".")
    for entry in no_proxy.replace(",", " ").lower().split():
        if entry == "*" or entry in (address.netloc.lower(), f"{host}:{address.port}"):
            return True
        name = entry.strip("[]").lstrip("*.")
        if host == name or host.endswith(f".{name}"):
            return True
        if "/" in entry and _within(host, entry):
            return True
    return False


def _within(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network  # slow, and few lists have a network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # a name, or not a network
        return False


def tunnel(connection: socket.socket, address: Address, proxy: Address, deadline: float) -> None:
    """Make the proxy pass on what follows to `address`. Raises OSError or ValueError."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"Host: {host}:{address.port}"]
    if proxy.credentials:
        lines.append(f"Proxy-Authorization: {proxy.authorization()}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
    reply, _ = read_head(connection, deadline)
    if not 200 <= reply.status < 300:
        raise OSError(f"{reply.status} {reply.reason[:100]}".strip())


def redirected(url: str, location: str) -> tuple[str, str]:
    """The URL that a redirect leads to, and if that is another server, what to do about it.

    The same server has the same host, and the same scheme and port, or https instead of http: then
    its certificate names the host. It also gets the user and password of the old URL.

    Raises ValueError, whose text continues "the server redirects".
    """
    old = Address(url)
    try:
        target = urljoin(url, location)
        new = Address(target)
    except ValueError as error:
        raise ValueError(f"to a bad URL: {error}") from None
    if new.scheme not in ("http", "https") or not new.host:
        raise ValueError("to a URL that is not http or https")
    if old.scheme == "https" and new.scheme != "https":
        raise ValueError("from https to http")
    same_place = (old.scheme, old.port) == (new.scheme, new.port)
    upgraded = (old.scheme, new.scheme) == ("http", "https")
    if old.host.lower() != new.host.lower() or not (same_place or upgraded):
        place = printable(f"{new.scheme}://{new.netloc}")
        why = f"{old.scheme}://{old.netloc} redirects to {place}; correct HEALTHCHECKS_PING_URL"
        return target, why
    if old.credentials and not new.credentials:
        target = f"{new.scheme}://{old.credentials}@{new.netloc}{new.target}"
    return target, ""
