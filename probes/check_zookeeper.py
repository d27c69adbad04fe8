#!/usr/bin/env python3
"""ZooKeeper: does each server serve, in the right mode, and without delay?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
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
from typing import NamedTuple

import click

from hcrun.text import counted, one_line
from probes.clients import tls
from probes.framework import memory
from probes.framework.options import addresses, names
from probes.framework.probe import Context, Probe, Ranges
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, show, state_reading

MODES = ("leader", "follower", "observer", "standalone")
HIDDEN = "is not in the whitelist"
LONGEST = 1_000_000  # bytes of an answer; mntr has about 20,000


class Server(NamedTuple):
    """The answers of a server."""

    address: str
    problem: str = ""  # why it does not serve
    hint: str = ""
    latency: float = 0.0  # seconds
    hidden: bool = False  # it allows neither mntr nor srvr
    values: Mapping[str, str] = {}  # by the names of mntr; srvr has only some of them

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
    memory.limit(threads=min(32, len(hosts)))
    with ThreadPoolExecutor(max_workers=32) as pool:
        servers = list(pool.map(lambda address: _check_server(address, context), hosts))
    context.add(*evaluate(servers, context.options["mode"] or (), context.ranges))


def _check_server(address: str, context: Context) -> Server:
    try:
        started = time.perf_counter()
        alive = _ask(address, "ruok", context)
        latency = time.perf_counter() - started
        if not alive:
            return Server(address, f"{address} closes the connection", "check maxClientCnxns")
        if alive != "imok" and HIDDEN not in alive:
            return Server(address, f"{address} answers ruok with {one_line(alive)[:40]!r}")
        values = _ask(address, "mntr", context)
        if HIDDEN in values:
            values = _ask(address, "srvr", context)
    except TimeoutError:
        host, _, port = address.rpartition(":")
        if tls.other_protocol(context, host.strip("[]"), int(port), is_tls=False):
            return Server(address, f"{address} speaks TLS", "use its port without TLS (clientPort)")
        return Server(address, f"no answer from {address} within {context.deadline.seconds:g} s")
    except OSError as error:
        return Server(address, f"{address}: {error.strerror or error}")
    if HIDDEN in values:
        return Server(address, latency=latency, hidden=True)
    if "not currently serving requests" in values:
        text = f"{address} runs but does not serve"
        return Server(address, text, "check that a majority runs, and its log")
    return Server(address, latency=latency, values=parse(values))


def _ask(address: str, word: str, context: Context) -> str:
    """The whole answer to a four-letter word. Raises OSError, of which TimeoutError is one."""
    host, _, port = address.rpartition(":")
    answer = b""
    until = time.monotonic() + 0.9 * context.deadline.left()  # the rest is for the question why
    with socket.create_connection((host.strip("[]"), int(port)), context.deadline.left()) as server:
        server.sendall(word.encode())
        while len(answer) < LONGEST:
            # A server may send byte by byte.
            server.settimeout(max(0.001, until - time.monotonic()))
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
    """The values in an answer to mntr (`name<tab>value`) or srvr (`Name: value`)."""
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
    """Returns readings on servers, which must be in one of `modes`; () means any that serves."""
    yield from _evaluate_down(servers, ranges)
    up = [server for server in servers if not server.problem]
    leaders = [server.address for server in up if server.mode == "leader"]
    if len(leaders) > 1:
        text = f"there are {len(leaders)} leaders: {', '.join(leaders)}"
        yield state_reading("leaders", Status.CRITICAL, text, "are these of one ensemble?")
    is_one = len(servers) == 1
    for server in up:
        for reading in _evaluate_server(
            server, "" if is_one else f" at {server.address}", modes, ranges
        ):
            yield reading if is_one else replace(reading, label=f"{reading.label}_{server.address}")


def _evaluate_down(servers: Sequence[Server], ranges: Ranges) -> Iterator[Reading]:
    """Returns readings on servers that do not serve; if all do not, they are CRITICAL."""
    down = [server for server in servers if server.problem]
    number, total = len(down), len(servers)
    all_down = Status.CRITICAL if number == total else None
    text = f"{number} of {counted(total, 'server')} down" if down else ""
    reading = Reading("down", number, "", text, *ranges["down"], 0, total, verdict=all_down)
    for server in down:
        yield state_reading(f"down_{server.address}", reading.status, server.problem, server.hint)
    yield reading


def _evaluate_server(
    server: Server, at: str, modes: Sequence[str], ranges: Ranges
) -> Iterator[Reading]:
    """Returns readings on a server that serves; `at` names it, and is "" if it is the only one."""
    text = f"{server.address} answers in {show(server.latency, 's')}"
    yield Reading("latency", server.latency, "s", text, *ranges["latency"], minimum=0)
    if server.hidden:
        text = f"{server.address} allows neither mntr nor srvr"
        hint = "add them to 4lw.commands.whitelist"
        yield state_reading("whitelist", Status.UNKNOWN, text, hint)
        return
    mode = f"{server.address} is {server.mode}"
    if not server.mode:
        text = f"{server.address} does not report its mode"
        yield state_reading("mode", Status.UNKNOWN, text, "is it ZooKeeper?")
    elif server.mode in (modes or MODES):
        yield state_reading("mode", Status.OK, mode if at else server.mode)
    elif modes:
        yield state_reading("mode", Status.CRITICAL, f"{mode}, not {' or '.join(modes)}")
    else:  # read-only, or a mode of a later version
        hint = "check that a majority of the ensemble runs"
        yield state_reading("mode", Status.CRITICAL, mode, hint)
    waiting = server.number("zk_outstanding_requests")
    text = f"{counted(waiting, 'outstanding request')}{at}" if waiting else ""
    hint = "check its disk, memory and garbage collection"
    yield Reading("outstanding", waiting, "", text, *ranges["outstanding"], minimum=0, hint=hint)
    clients = server.number("zk_num_alive_connections")
    text = "" if clients is None else f"{counted(clients, 'connection')}{at}"
    reading = Reading("connections", clients, "", text, *ranges["connections"], minimum=0)
    yield reading.brief() if at else reading
    limits = ranges["descriptors"]
    if "zk_version" not in server.values:  # they come from srvr
        text = f"file descriptors are unknown{at}: 4lw.commands.whitelist lacks mntr"
        yield state_reading("descriptors", Status.OK, text if any(limits) else "")
        return
    used = server.number("zk_open_file_descriptor_count")
    maximum = server.number("zk_max_file_descriptor_count")
    text = "" if used is None else f"{counted(used, 'file descriptor')}{at}"
    hint = "raise LimitNOFILE or ulimit -n"
    reading = Reading("descriptors", used, "", text, *limits, 0, maximum, hint)
    yield reading.brief() if at else reading


def _hosts(text: str) -> tuple[str, ...]:
    """The addresses in the connection string of a client, `a:2181,b/path`."""
    if "://" in text:
        raise click.BadParameter(f"{text!r} has a scheme; write it like a:2181,b:2181/path")
    return addresses(2181)(text.partition("/")[0])


def _modes(text: str) -> tuple[str, ...]:
    modes = names(text)
    for mode in modes:
        if mode not in (*MODES, "read-only"):
            known = ", ".join(MODES)
            raise click.BadParameter(f"invalid mode {mode!r}: choose {known} or read-only")
    return modes


TABLE = table("zookeeper", types={"--hosts": _hosts, "--mode": _modes})
PROBE = Probe("zookeeper", TABLE, check_zookeeper)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
