"""The checks of a project: what is probed, where, and with which settings."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hcrun.discovery.kinds import classify
from hcrun.discovery.reach import Place, bootstrap, in_url, published, reach
from hcrun.discovery.service import KINDS, TABLES, WORDS, Project, Secret, Service


@dataclass
class Found:
    """A check of a service. It has an address, or else says why not."""

    kind: str
    containers: list[str]
    needs: list[str]
    command: str
    address: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    warn: list[str] = field(default_factory=list)
    why: str = ""
    fix: str = ""
    advertised: str = ""
    broker: str = ""  # the service through which it is probed

    def facts(self) -> dict[str, Any]:
        """All but the values of secrets."""
        always = {"address": self.address, "needs": self.needs}
        facts = {key: value for key, value in vars(self).items() if value} | always
        facts["container"] = next(iter(self.containers), None)
        facts["secrets"] = {name: secret.where for name, secret in self.secrets.items()}
        if not self.containers[1:]:
            facts.pop("containers", None)
        return facts


@dataclass
class Discovery:
    """What was found."""

    project: str
    checks: dict[str, Found]
    not_checked: dict[str, str]

    def facts(self) -> dict[str, Any]:
        checks = {name: check.facts() for name, check in self.checks.items()}
        return {"project": self.project, "checks": checks, "not_checked": self.not_checked}


def discover(projects: Iterable[Project]) -> Discovery:
    """What the projects have; with several, a name has that of its project before it."""
    every = [project for project in projects if project.services]
    whole = Discovery(", ".join(filter(None, (project.name for project in every))), {}, {})
    for project in every:
        found = _Discoverer(project)
        before = f"{project.name or 'docker'}-" if every[1:] else ""
        for name in project.services:
            if check := found.checks.get(name):
                check.needs = [before + need for need in check.needs]
                check.broker = check.broker and before + check.broker
                whole.checks[before + name] = check
            else:
                whole.not_checked[before + name] = found.not_checked[name]
    return whole


class _Discoverer:
    """Finds the checks of a project, those of brokers first."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.kinds, self.not_checked = classify(project)
        services = project.services
        self.taken = {port.published for each in services.values() for port in each.ports}
        self.checks: dict[str, Found] = {}
        finders = {
            "celery-worker": self._worker,
            "celery-beat": self._beat,
            "kafka-consumer": self._consumer,
            "kafka": self._kafka,
        }
        for name in sorted(self.kinds, key=lambda each: self.kinds[each] == "kafka-consumer"):
            service, kind = services[name], self.kinds[name]
            containers = project.containers(service)
            check = Found(kind, containers, self._needs(service), KINDS[kind]["command"])
            self.checks[name] = check
            self.port = KINDS[kind].get("port", 0)  # in its container
            finders.get(kind, self._server)(service, check)
            if check.why:
                check.env, check.address = {}, None
                self._explain(service, check)

    def _server(self, service: Service, check: Found) -> None:
        has, is_http = KINDS[check.kind], check.kind == "http"
        scheme = has.get("url", "")
        if service.first(has.get("schemes", ())).startswith("https:"):
            scheme = "https"
        itself = service.itself if is_http else None
        asked = 0
        if itself:
            scheme = itself["scheme"] or scheme
            asked = int(itself["port"] or (443 if scheme == "https" else 80))
        inside, self.port = _listens(service, has, asked)
        if "ports" in has:  # only its configuration says on which it listens
            ports = [*has["ports"], *(each.target for each in service.ports)]
            good = (port for port in ports if published(self.project, service, port)[0])
            self.port = next(good, self.port)
            scheme = "https" if self.port in (443, 8443) else scheme
        place = reach(self.project, service, self.port, inside)
        self._reached(check, place, scheme)
        self._settings(service, check)
        path = itself["path"] if itself and asked == self.port else ""
        if path:
            check.env["API_HEALTH_PATH"] = path
        elif is_http:
            check.warn.append("guess-path")
        if check.address:
            check.address += (path or "/health") if is_http else has.get("path", "")

    def _settings(self, service: Service, check: Found) -> None:
        """Users, databases and passwords of its probe, and what is odd about it."""
        has = KINDS[check.kind]
        for variable, names in has.get("settings", {}).items():
            value = service.first(names)
            secret = None if value else service.secret(names)
            if secret:
                check.secrets[variable] = secret
            elif value := value or has.get("defaults", {}).get(variable):
                check.env[variable] = value
        # What its command or its health check mentions, and what its image reads by itself.
        shell = re.sub(r"\$\{(\w+)[^}]*\}", r"$\1", " ".join([*service.words, service.checking]))
        for variable, names in has.get("secrets", {}).items():
            read = [n for n in names if has.get("own", "") in service.image or f"${n}" in shell]
            flag = has.get("flags", {}).get(variable, "")
            if secret := service.secret(read, flag):
                check.secrets[variable] = secret
        if "--tls-port" in service.words:
            check.env["REDIS_TLS"] = "true"
        if check.kind == "vault" and (not service.words or "-dev" in service.words):
            check.warn.append("dev-mode")

    def _reached(self, check: Found, place: Place, scheme: str = "") -> None:
        check.why = place.why
        if place.why:
            return
        url = f"{scheme}://{place}"
        check.address = url if scheme else str(place)
        check.warn += ["public"] if place.public and KINDS[check.kind].get("store") else []
        values = {"host": place.host, "port": place.port, "address": str(place), "url": url}
        for variable, form in KINDS[check.kind].get("env", {}).items():
            check.env[variable] = form.format(**values)

    def _kafka(self, service: Service, check: Found) -> None:
        place, protocol, sent_to = bootstrap(self.project, service)
        self._reached(check, place)
        check.advertised = sent_to if check.why == "advertised" else ""
        if protocol:
            check.env["KAFKA_SECURITY_PROTOCOL"] = protocol

    def _consumer(self, service: Service, check: Found) -> None:
        group = re.search(WORDS["group"], service.text)
        check.env = {"KAFKA_GROUPS": group["group"]} if group else {}
        option = re.search(WORDS["brokers"], service.text)
        named = option["servers"] if option else ""
        texts = [named, *service.environment.values(), *check.needs]
        names = [name for text in texts for name in self._hosts(text)]
        check.broker = next((name for name in names if self.kinds.get(name) == "kafka"), "")
        variables = (n for n in service.environment if re.search(WORDS["servers"], n))
        if check.broker:
            broker = self.checks[check.broker]
            check.address = broker.address
            check.why = f"broker-{broker.why}" if broker.why else ""
        elif servers := named or service.first(variables):
            check.address = check.env["KAFKA_BOOTSTRAP_SERVERS"] = servers
        else:
            check.why = "broker-unknown"

    def _worker(self, service: Service, check: Found) -> None:
        name = ",".join(service.options("-n", "--hostname"))
        expected, at, _ = name.partition("@")
        if "%" in expected:
            expected = ""
        elif name and not at:
            expected = f"celery@{name}"
        number = str(service.replicas) if service.replicas > 1 and not expected else ""
        queues = ",".join(service.options("-Q", "--queues"))
        for flag, value in (("expect", expected), ("min-workers", number), ("queues", queues)):
            check.command += f" --{flag} {shlex.quote(value)}" if value else ""
        variables = [n for n in service.environment if re.search(WORDS["celery_broker"], n)]
        secret = service.secret(sorted(variables, key=len, reverse=True), "--broker")
        secret = secret or service.secret((), "-b")
        if not secret or not secret.value:
            check.why = "broker-unknown"
            return
        url, check.broker, why = in_url(self.project, secret.value, WORDS["broker_ports"])
        check.why = f"broker-{why}" if why else ""
        check.address = re.sub(r"://([^:/@]*):[^/]*@", r"://\1:***@", url)
        if check.address == url:
            check.env["CELERY_BROKER_URL"] = url
        else:
            check.secrets["CELERY_BROKER_URL"] = Secret(secret.where, url)

    def _beat(self, service: Service, check: Found) -> None:
        schedule = next(iter(service.options("-s", "--schedule")), WORDS["schedule"])
        path = posixpath.join(service.facts.get("working_dir") or "/", schedule)
        path = posixpath.normpath(path)
        check.why = "no-schedule-file"
        for volume in service.facts.get("volumes") or ():
            target = str(volume["target"]).rstrip("/")
            is_here = volume["type"] == "bind" and path.startswith(f"{target}/")
            if is_here and not service.options("-S", "--scheduler"):
                check.address = volume["source"].rstrip("/") + path.removeprefix(target)
                check.env["CELERY_BEAT_SCHEDULE"] = check.address
                check.why = ""

    def _hosts(self, text: str) -> Iterator[str]:
        """The services that are hosts in a URL or in a list of hosts."""
        for part in re.split(r"[,;\s]+", text):
            host = re.sub(r"^[\w+]+://(?:[^/]*@)?", "", part)
            host = re.sub(r"[:/].*", "", host)
            if host in self.project.by_name:
                yield self.project.by_name[host]

    def _needs(self, service: Service, seen: frozenset[str] = frozenset()) -> list[str]:
        """What it needs directly; instead of what runs once, what that needs."""
        needed = set(service.facts.get("depends_on") or ()) & set(self.project.services)
        for name, value in service.environment.items():
            if "://" in value or re.search(WORDS["needs"], name):
                needed |= set(self._hosts(value))
        seen |= {service.name}
        once = {name for name in needed if self.not_checked.get(name) == "one-shot"}
        for name in once - seen:
            needed |= set(self._needs(self.project.services[name], seen))
        return sorted(needed - once - seen)

    def _explain(self, service: Service, check: Found) -> None:
        """Say what to do so that this host reaches it."""
        form = TABLES["why"].get(check.why) or TABLES["why"]["broker"]
        free = self.port
        while str(free) in self.taken:
            free += 10000 if free < 50000 else 1
        if "{free}" in form:
            self.taken.add(str(free))
        values = {"advertised": check.advertised, "broker": check.broker}
        check.fix = form.format(service=service.name, port=self.port, free=free, **values)


def _listens(service: Service, has: Mapping[str, Any], asked: int) -> tuple[str, int]:
    """The host and the port in its container; its health check asks the port `asked`."""
    is_http = has is KINDS["http"]
    web = (at for each, at in TABLES["web"].items() if re.search(rf"\b{each}\b", service.text))
    usual, _, default = next(web, ":80").partition(":") if is_http else ("", "", "")
    named = service.listens(has)
    if not named and re.search(has.get("loopback", "(?!)"), service.text):
        usual = "127.0.0.1"
    bound = re.search(has.get("hosts", "(?!)"), service.text)
    inside = bound["host"] if bound else (named or [""])[0]
    inside = inside or service.first(has.get("host_variables", ())) or usual
    variable = service.first(["PORT"]) if is_http else ""
    port = int(variable) if variable.isdigit() else has.get("port", default)
    return inside, named[1] if named else asked or int(port)
