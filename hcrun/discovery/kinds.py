"""What a service is, by its command, its image and its health check."""

import re
from collections.abc import Mapping
from typing import Any

from hcrun.discovery.service import KINDS, TABLES, WORDS, Project, Service

_NEVER = "(?!)"
_ROLES = ("KAFKA_PROCESS_ROLES", "KAFKA_CFG_PROCESS_ROLES")


def classify(project: Project) -> tuple[dict[str, str], dict[str, str]]:
    """The kinds of the services, and why others have no check."""
    done = {
        needed
        for service in project.services.values()
        for needed, how in (service.facts.get("depends_on") or {}).items()
        if how.get("condition") == "service_completed_successfully"
    }
    found = {name: _kind(each, name in done) for name, each in project.services.items()}
    kinds = {name: kind for name, kind in found.items() if kind in KINDS}
    return kinds, {name: reason for name, reason in found.items() if reason not in KINDS}


def _kind(service: Service, is_done: bool) -> str:
    """The kind, or why there is none: a command says more than an image."""
    if not service.replicas:
        return "scaled-to-zero"
    if is_done or service.facts.get("x-finished"):
        return "one-shot"
    other = next((why for why, names in TABLES["images"].items() if _is_image(service, names)), "")
    if kind := _celery(service) or (other if other == "tool" else ""):
        return kind
    image = next((k for k, has in KINDS.items() if _is_image(service, has.get("images", ""))), "")
    started = [k for k, has in KINDS.items() if service.runs(has.get("servers", _NEVER))]
    is_web = any(re.search(rf"(?:^|[\s/]){each}\b", service.text) for each in TABLES["web"])
    kind = image if image in started else next(iter(started), "")
    if not kind and image and service.runs(KINDS[image].get("clients", _NEVER)):
        return "client"
    if not kind and not is_web and re.search(WORDS["migration"], service.text):
        return "one-shot"
    kind = kind or image or other
    kind = kind or next((k for k, has in KINDS.items() if _is_healthy(service, has)), "")
    if not kind and re.search(WORDS["group"], service.text):
        return "kafka-consumer"
    if kind == "kafka" and service.first(_ROLES) == "controller":
        return "controller-only"
    return kind or ("http" if is_web or service.itself else "unknown")


def _is_image(service: Service, names: str) -> bool:
    pattern = re.compile(names.replace("\n", "") or _NEVER)
    last = service.image.rpartition("/")[2]
    return any(pattern.fullmatch(name) for name in (service.image, last) if name)


def _celery(service: Service) -> str:
    for match in re.finditer(WORDS["celery"], service.text):
        word = match["word"] or match["script"] or match["tool"]
        if word in ("worker", "beat"):
            return f"celery-{word}"
        if word in ("flower", "events"):
            return "tool"
    return "celery-worker" if re.search(r"celery\b.*inspect ping", service.health) else ""


def _is_healthy(service: Service, has: Mapping[str, Any]) -> bool:
    """Whether its health check asks a service of this kind, and no other host."""
    host = re.search(r"(?:-h|--host)[ =](\S+)", service.health)
    is_own = not host or host[1] in {"localhost", "127.0.0.1", *service.names}
    return is_own and bool(re.search(has.get("health", _NEVER), service.health))
