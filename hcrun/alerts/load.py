"""The load of many hosts: pings of one check, as their jobs would send them."""

import ipaddress
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hcrun.errors import UsageError
from hcrun.ping import client
from hcrun.ping.target import from_url

_WORKERS = 64  # pings at once
_PATIENCE = 10.0  # seconds for an answer


@dataclass
class Load:
    """What was measured; durations in seconds."""

    took: float = 0.0
    latencies: list[float] = field(default_factory=list)  # of accepted pings
    refused: Counter[str] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def ping(url: str, hosts: int, every: float, seconds: float) -> Load:
    """Ping the check at `url` as so many hosts do, each `every` seconds, spread evenly.

    Raises UsageError if it is not a ping URL.
    """
    target = from_url(url)
    load, began = Load(), time.monotonic()

    def send(due: float) -> None:
        time.sleep(max(0.0, began + due - time.monotonic()))
        start = time.monotonic()
        reply = client.send(target.url, "DRILL", client.Policy(1, 0.0), start + _PATIENCE)
        if client.accepted(reply):
            load.latencies.append(time.monotonic() - start)
        else:
            load.refused[f"status {reply.status}" if reply.status else "no answer"] += 1

    step = every / hosts
    number = int(seconds / step)
    if not number:
        raise UsageError("no ping is due in that time", hint="raise --for or --hosts")
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            list(pool.map(send, (step * n for n in range(number))))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    load.took = time.monotonic() - began
    return load
