"""How this host reaches a port of a service: by the ports that are published.

Kafka sends a client on to the listener that it advertises, which must be reached, too.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from hcrun.discovery.service import WORDS, Port, Project, Service

_LOCAL = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_LOOPBACK = re.compile(r"127\..*|localhost|\[?::1\]?")
_URL = re.compile(r"([\w+]+)://([^/]*@)?([\w.-]+)(?::(\d+))?")

_ENTRY = re.compile(r"(?:([\w-]+)://)?(\[[\w:]*\]|[^\s:,/]*):(\d+)")
_SECURE = ("SSL", "SASL_PLAINTEXT", "SASL_SSL")

Listeners = dict[str, tuple[str, int]]  # of Kafka: by name, the host and the port


class Place(NamedTuple):
    """A host and a port, or why there are none; others can reach it if it is `public`."""

    host: str = ""
    port: int = 0
    why: str = ""
    public: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def owner(project: Project, service: Service) -> Service:
    """The service whose network it uses."""
    seen = {service.name}
    while service.mode.startswith(("service:", "container:")):
        name = project.by_name.get(service.mode.partition(":")[2], service.name)
        if name in seen:  # or a container of another project
            break
        seen.add(name)
        service = project.services[name]
    return service


def published(project: Project, service: Service, target: int) -> tuple[list[Place], str]:
    """The places where this host finds this port, the best first; and why there is none."""
    own = owner(project, service)
    if own.mode == "host":
        return [Place(own.facts.get("x-listen", ("", 0))[0], target)], ""
    networks = own.facts.get("networks") or {}
    if networks and project.internal.issuperset(networks):
        return [], "internal-network"
    ports = [port for port in own.ports if port.target == target]
    if not ports:
        return [], "wrong-target" if own.ports else "not-published"
    fixed = sorted((port for port in ports if port.published.isdigit()), key=_rank)
    public = not all(_LOOPBACK.fullmatch(port.host) for port in ports)
    places = [Place(port.host, int(port.published), public=public) for port in fixed]
    return places, "" if places else "random-port"


def _rank(port: Port) -> int:
    if port.host in _LOCAL:
        return 1
    return 0 if port.host.startswith("127.") else 2 + (not _LOOPBACK.fullmatch(port.host))


def local(place: Place) -> Place:
    """The place with an address of this host for all its addresses."""
    return place._replace(host=_LOCAL.get(place.host, place.host))


def reach(project: Project, service: Service, port: int, inside: str = "") -> Place:
    """The best place of this port; it listens on the address `inside`."""
    places, why = published(project, service, port)
    if _LOOPBACK.fullmatch(inside) and (places or why == "random-port"):
        is_here = owner(project, service).mode == "host"
        return Place(inside, port) if is_here else Place(why="loopback-inside")
    return local(places[0]) if places else Place(why=why)


def in_url(project: Project, url: str, defaults: Mapping[str, int]) -> tuple[str, str, str]:
    """The URL with the hosts of the project replaced, one of them, and why it has no address."""
    found: list[tuple[str, str]] = []

    def replace(match: re.Match[str]) -> str:
        scheme, user, host, port = match.groups("")
        if not (name := project.by_name.get(host)):
            return match[0]
        place = reach(project, project.services[name], int(port or defaults.get(scheme, 0)))
        found.append((name, place.why))
        return f"{scheme}://{user}{place}"

    changed = _URL.sub(replace, url)
    name, why = next((each for each in found if each[1]), found[0] if found else ("", ""))
    return changed, name, why


def bootstrap(project: Project, service: Service) -> tuple[Place, str, str]:
    """Where this host finds the broker, the security protocol, and what it is sent on to.

    That is the first listener that is published and advertises an address of this host.
    """
    listeners, advertised = _listeners(service)
    protocols = dict(re.findall(r"([\w-]+):(\w+)", service.first(WORDS["kafka_map"])))
    found: list[tuple[Place, str, str]] = []
    for name, at in listeners.items():
        host, port = advertised.get(name, at)
        protocol = protocols.get(name, name)
        protocol = protocol if protocol in _SECURE else ""
        sent_to = f"{host or 'the name of its container'}:{port}"
        places, why = published(project, service, at[1])
        here = {"localhost", "127.0.0.1"}
        good = [p for p in places if p.port == port and host in here | {p.host, local(p).host}]
        place = local(good[0]) if good else Place(why="advertised" if places else why)
        found.append((place, protocol, sent_to))
    order = ("", "advertised", "random-port", "wrong-target", "not-published", "internal-network")
    return min(found, key=lambda each: (order.index(each[0].why), each[1]))


def _listeners(service: Service) -> tuple[Listeners, Listeners]:
    """What it listens on, and what it advertises."""
    if seen := service.facts.get("x-listen"):
        return {"": seen}, {"": ("localhost", seen[1])}
    controllers = service.first(WORDS["kafka_controllers"]).split(",")
    listening, sent = (
        _read(",".join(service.options(flag)) or service.first(WORDS[names]))
        for flag, names in (
            ("--kafka-addr", "kafka_listeners"),
            ("--advertise-kafka-addr", "kafka_advertised"),
        )
    )
    if host := service.first(["KAFKA_ADVERTISED_HOST_NAME"]):
        sent = sent or _read(
            f"PLAINTEXT://{host}:{service.first(['KAFKA_ADVERTISED_PORT']) or 9092}"
        )
    listening = {name: at for name, at in listening.items() if name not in controllers}
    if not listening and not sent:  # these images advertise localhost
        is_local = re.fullmatch(WORDS["kafka_local"], service.image)
        sent = {"PLAINTEXT": ("localhost" if is_local else "", 9092)}
    return listening or sent, sent


def _read(text: str) -> Listeners:
    found = [match for part in text.split(",") if (match := _ENTRY.fullmatch(part.strip()))]
    return {name or "": (host, int(port)) for name, host, port in (m.groups() for m in found)}
