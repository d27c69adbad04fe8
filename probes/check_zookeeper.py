#!/usr/bin/env python3
"""ZooKeeper: does each server serve, in the mode it ought to, and does it keep up?

It is asked with four-letter words: ruok, then mntr, or srvr where mntr is hidden. By default a
server of 3.5.3 or later answers only srvr (4lw.commands.whitelist), which knows nothing of file
descriptors; the probe says so. ruok is answered even by a server that has lost its ensemble, so
it is never enough.
The defaults, and why:
- latency 500 ms, 1 s: an answer takes some milliseconds.
- down 0, 49%: any server, and as many as leave no majority, without which nothing works.
- outstanding 10, 100 requests that wait; at 1000 the server stops reading (globalOutstandingLimit).
- descriptors 80%, 90% of what the process may open: after that connections fail.
- connections: off, as only the operator knows how many there ought to be.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, NoReturn

import click

from hcrun.text import one_line
from probes.framework.options import Threshold, addresses, option, words
from probes.framework.probe import LATENCY, Context, Probe, Ranges
from probes.framework.verdict import Reading, Status, count, show, state_reading

MODES = ("leader", "follower", "observer", "standalone")
HIDDEN = "is not in the whitelist"
LONGEST = 1_000_000  # bytes of an answer; mntr has some 20,000


class Server(NamedTuple):
    """What one server said."""

    address: str
    problem: str = ""  # why it does not serve
    hint: str = ""
    latency: float = 0.0  # seconds
    hidden: bool = False  # all the words are
    values: Mapping[str, str] = {}  # by mntr's names; from srvr there are only some

    @property
    def mode(self) -> str:
        return self.values.get("zk_server_state", "")

    def number(self, name: str) -> float | None:
        try:
            return float(self.values[name])
        except (KeyError, ValueError):
            return None


def check_zookeeper(context: Context) -> None:
    hosts = context.options["hosts"]
    context.at(",".join(hosts))
    with ThreadPoolExecutor(max_workers=32) as pool:
        servers = list(pool.map(lambda address: _look_at_server(address, context), hosts))
    context.add(*evaluate(servers, context.options["mode"] or (), context.ranges))


def _look_at_server(address: str, context: Context) -> Server:
    try:
        started = time.perf_counter()
        alive = _ask(address, "ruok", context)
        latency = time.perf_counter() - started
        if not alive:
            return Server(address, f"{address} hangs up", "is maxClientCnxns reached?")
        if alive != "imok" and HIDDEN not in alive:
            return Server(address, f"{address} answers ruok with {one_line(alive)[:40]!r}")
        values = _ask(address, "mntr", context)
        if HIDDEN in values:
            values = _ask(address, "srvr", context)
    except TimeoutError:
        return Server(address, f"no answer from {address} within {context.deadline.seconds:g} s")
    except OSError as error:
        return Server(address, f"{address}: {error.strerror or error}")
    if HIDDEN in values:
        return Server(address, latency=latency, hidden=True)
    if "not currently serving requests" in values:
        text = f"{address} is running and does not serve"
        return Server(address, text, "has the ensemble its majority? see the server's log")
    return Server(address, latency=latency, values=parse(values))


def _ask(address: str, word: str, context: Context) -> str:
    """The whole answer to a four-letter word. Raises OSError, of which TimeoutError is one."""
    host, _, port = address.rpartition(":")
    answer = b""
    with socket.create_connection((host.strip("[]"), int(port)), context.deadline.left()) as server:
        server.sendall(word.encode())
        while len(answer) < LONGEST:
            server.settimeout(context.deadline.left())  # a server may answer a byte at a time
            data = server.recv(65536)
            if not data:
                break
            answer += data
    return answer.decode(errors="replace").strip()


SRVR = {
    "Outstanding": "zk_outstanding_requests",
    "Connections": "zk_num_alive_connections",
    "Mode": "zk_server_state",
}


def parse(answer: str) -> dict[str, str]:
    """The answer to mntr (`name<tab>value`) or srvr (`Name: value`) -> values by mntr's names."""
    values = {}
    for line in answer.splitlines():
        name, tab, value = line.partition("\t")
        if not tab:
            srvr, _, value = line.partition(":")
            name = SRVR.get(srvr, "")
        if name:
            values[name] = value.strip()
    return values


def evaluate(servers: Sequence[Server], modes: Sequence[str], ranges: Ranges) -> Iterator[Reading]:
    """`modes` are those that a server may be in; () for any that serves."""
    yield from _judge_down(servers, ranges)
    up = [server for server in servers if not server.problem]
    leaders = [server.address for server in up if server.mode == "leader"]
    if len(leaders) > 1:
        text = f"there are {len(leaders)} leaders: {', '.join(leaders)}"
        yield state_reading("leaders", Status.CRITICAL, text, "are these of one ensemble?")
    for server in up:
        end = f"_{server.address}" if len(servers) > 1 else ""  # of a label
        text = f"{server.address} answers in {show(server.latency, 's')}"
        yield Reading(f"latency{end}", server.latency, "s", text, *ranges["latency"], minimum=0)
        if server.hidden:
            text = f"{server.address} hides mntr and srvr"
            hint = "add them to 4lw.commands.whitelist"
            yield state_reading(f"whitelist{end}", Status.UNKNOWN, text, hint)
        else:
            yield from _judge_server(server, end, modes, ranges)


def _judge_down(servers: Sequence[Server], ranges: Ranges) -> Iterator[Reading]:
    """What does not serve is CRITICAL when it is all there is, else as the limits say."""
    down = [server for server in servers if server.problem]
    all_down = Status.CRITICAL if len(down) == len(servers) else None
    text = f"{len(down)} of {count(len(servers), 'server')} down" if down else ""
    reading = Reading(
        "down",
        len(down),
        "",
        text,
        *ranges["down"],
        minimum=0,
        maximum=len(servers),
        verdict=all_down,
    )
    for server in down:
        yield state_reading(f"down_{server.address}", reading.status, server.problem, server.hint)
    yield reading


def _judge_server(
    server: Server, end: str, modes: Sequence[str], ranges: Ranges
) -> Iterator[Reading]:
    at = f" at {server.address}" if end else ""  # in words
    calm = not end  # of several servers only what is wrong is said, and their modes
    mode = f"{server.address} is {server.mode}"
    if not server.mode:
        text = f"{server.address} does not tell its mode"
        yield state_reading(f"mode{end}", Status.UNKNOWN, text, "is it ZooKeeper?")
    elif server.mode in (modes or MODES):
        yield state_reading(f"mode{end}", Status.OK, mode if end else server.mode)
    elif modes:
        yield state_reading(f"mode{end}", Status.CRITICAL, f"{mode}, not {' or '.join(modes)}")
    else:  # read-only, and whatever comes after it
        hint = "has the ensemble its majority?"
        yield state_reading(f"mode{end}", Status.CRITICAL, mode, hint)
    waiting = server.number("zk_outstanding_requests")
    text = f"{count(waiting, 'outstanding request')}{at}" if waiting else ""
    hint = "see its disk, its memory and its garbage collection"
    limit = ranges["outstanding"]
    yield Reading(f"outstanding{end}", waiting, "", text, *limit, minimum=0, hint=hint)
    clients = server.number("zk_num_alive_connections")
    text = "" if clients is None else f"{count(clients, 'connection')}{at}"
    yield _brief(
        Reading(f"connections{end}", clients, "", text, *ranges["connections"], minimum=0), calm
    )
    if "zk_version" not in server.values:  # it comes from srvr
        text = f"file descriptors are hidden{at}: 4lw.commands.whitelist lacks mntr"
        yield state_reading(
            f"descriptors{end}", Status.OK, text if any(ranges["descriptors"]) else ""
        )
        return
    used = server.number("zk_open_file_descriptor_count")
    maximum = server.number("zk_max_file_descriptor_count")
    text = "" if used is None else f"{count(used, 'file descriptor')}{at}"
    limit, hint = ranges["descriptors"], "raise LimitNOFILE or ulimit -n"
    reading = Reading(
        f"descriptors{end}", used, "", text, *limit, minimum=0, maximum=maximum, hint=hint
    )
    yield _brief(reading, calm)


def _brief(reading: Reading, calm: bool) -> Reading:
    return reading if calm or reading.status else replace(reading, text="")


def _hosts(text: str) -> tuple[str, ...]:
    """`a:2181,b/path`, as clients have it."""
    return addresses(2181)(text.partition("/")[0])


def _modes(text: str) -> tuple[str, ...]:
    for mode in (modes := words(text)):
        if mode not in (*MODES, "read-only"):
            raise click.BadParameter(f"{mode!r} is no mode; take {', '.join(MODES)} or read-only")
    return modes


PROBE = Probe(
    "zookeeper",
    """Look whether ZooKeeper's servers serve, in their modes, and keep up.

    It needs no password and no library. 4lw.commands.whitelist has to allow srvr, as it does by
    default; with mntr, file descriptors are seen too.
    """,
    check_zookeeper,
    options=[
        option(
            "--hosts",
            "ZOOKEEPER_HOSTS",
            "The servers, with commas between; a path after them is left out.",
            default="127.0.0.1:2181",
            type=_hosts,
            metavar="HOST:PORT,...",
        ),
        option(
            "--mode",
            "ZOOKEEPER_MODE",
            "Modes that are right, with commas between: leader, follower, observer, standalone. "
            "Without it: all of these.",
            type=_modes,
            metavar="MODE,...",
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("down", "", "0", "49%", "servers that do not serve"),
        Threshold("outstanding", "", "10", "100", "requests that wait"),
        Threshold(
            "descriptors", "", "80%", "90%", "open file descriptors, or per cent of the most"
        ),
        Threshold("connections", "", "off", "off", "connections to a server"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
