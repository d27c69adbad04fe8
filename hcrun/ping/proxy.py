"""Pings through the proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names, unless NO_PROXY has the
host. By hand: `requests` costs ten times what the ping itself does, and takes its CAs with it."""

from __future__ import annotations

import os

from hcrun.ping.wire import Address, Reply, basic, read_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def proxy_for(address: Address, given: str) -> Address | None:
    """The proxy that `given` names, None when NO_PROXY has the host. Raises ValueError."""
    if _bypassed(address, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""):
        return None
    try:
        proxy = Address(given if "://" in given else f"http://{given}")
    except ValueError:
        proxy = None
    if proxy is None or proxy.scheme != "http" or not proxy.host:
        raise ValueError("the proxy that the environment names must be http://HOST:PORT")
    return proxy


def _bypassed(address: Address, listed: str) -> bool:
    """`NO_PROXY=example.com,.corp,10.0.0.0/8,host:8000` or `*`: a name has its subdomains, too."""
    host = address.host.lower().rstrip(".")
    for entry in listed.replace(",", " ").lower().split():
        if entry == "*" or entry in (address.netloc.lower(), f"{host}:{address.port}"):
            return True
        name = entry.strip("[]").lstrip("*.")
        if host == name or host.endswith(f".{name}"):
            return True
        if "/" in entry and _within(host, entry):
            return True
    return False


def _within(host: str, network: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # a name, or no network
        return False


def tunnel(connection: socket.socket, address: Address, proxy: Address, deadline: float) -> None:
    """Have the proxy pass on what follows to `address`. Raises OSError or ValueError."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"Host: {host}:{address.port}"]
    if proxy.credentials:
        lines.append(f"Proxy-Authorization: {basic(proxy)}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
    reply = Reply()
    read_head(connection, reply, deadline)
    if not 200 <= reply.status < 300:
        raise OSError(f"{reply.status} {reply.reason[:100]}".strip())
