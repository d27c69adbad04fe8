"""Where projects come from: compose files, a Docker engine, the ports of this host."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from hcrun.discovery.kinds import classify
from hcrun.discovery.service import KINDS, TABLES, Project, Secret, file_secret
from hcrun.errors import HcrunError
from hcrun.text import printable

_PATIENCE = 60.0  # seconds
_HINT = "install the Compose plugin of Docker (https://docs.docker.com/compose/install/linux/)"
_LABEL = "com.docker.compose."
_ENGINE_HINT = "is the engine running, and may this user ask it? Or use --compose FILE"
_DOCKER = "containers publish ports, too: hcctl init --docker finds their services"
_SOCKET = re.compile(r"\S+ +\d+ +\d+ +\[?([^\s\]%]*)(?:%\S+)?\]?:(\d+) +\S+(?:.*?\bpid=(\d+))?")


def read_compose(files: Sequence[str]) -> tuple[Project, list[str]]:
    """The project of these files, and the warnings of compose. Raises HcrunError."""
    file_options = [word for path in files for word in ("-f", path)]
    for path in files:
        if not os.path.isfile(path):
            raise HcrunError("no such file", where=path, hint="give the path of a compose file")
    command = [*_program(), *file_options, "config"]
    status, output, messages = _run([*command, "--format", "json"])
    try:
        # Compose doubles each $, so that its output is a compose file again.
        facts = json.loads(output.replace("$$", "$")) if not status else None
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        what = messages[-1] if messages else "compose prints no JSON"
        hint = f"correct it until this works: {' '.join(command)}"
        raise HcrunError(what, where=", ".join(files), hint=hint)
    base = os.path.dirname(os.path.abspath(files[0]))
    named = facts.get("secrets") or {}
    secrets = {name: _secret(each, base) for name, each in named.items()}
    return Project(facts, secrets, base), messages


def _program() -> list[str]:
    for program in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(program[0]) and not _run([*program, "version"])[0]:
            return program
    raise HcrunError("neither docker compose nor docker-compose is installed", hint=_HINT)


def _run(command: Sequence[str]) -> tuple[int, str, list[str]]:
    """The exit status, stdout, and the messages on stderr."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE
        )
    except FileNotFoundError:
        raise HcrunError(f"{command[0]} is not installed", hint="use --compose FILE") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HcrunError(f"{command[0]} cannot be used: {error}") from None
    lines = done.stderr.decode(errors="replace").splitlines()
    messages = [printable(re.sub(r'^time=.* msg="(.*)"$', r"\1", line)) for line in lines if line]
    return done.returncode, done.stdout.decode(errors="replace"), messages


def _secret(facts: Mapping[str, Any], base: str) -> Secret:
    if path := facts.get("file"):
        return file_secret(path, base)
    if name := facts.get("environment"):
        where = f"variable {name} of the shell that starts compose"
        return Secret(where, os.environ.get(name, ""))
    return Secret(f"secret {facts.get('name')} of the engine", str(facts.get("content") or ""))


def read_engine() -> list[Project]:
    """The projects whose containers the engine has; other containers are one without a name."""
    ids = _docker("ps", "--all", "--quiet", "--no-trunc").split()
    containers = json.loads(_docker("inspect", *ids)) if ids else []
    names = {each["Id"]: each["Name"].lstrip("/") for each in containers}
    found: dict[str, dict[str, Any]] = {}
    for each in sorted(containers, key=lambda each: (len(each["Name"]), each["Name"])):
        labels = each["Config"]["Labels"] or {}
        if labels.get(f"{_LABEL}oneoff") == "True":
            continue
        services = found.setdefault(labels.get(f"{_LABEL}project", ""), {})
        name = labels.get(f"{_LABEL}service") or names[each["Id"]]
        service = services.setdefault(name, _service(each, labels, names))
        service["x-containers"].append(names[each["Id"]])
        service["scale"] = len(service["x-containers"])
    networks = {"internal": {"internal": True}}
    return [
        Project({"name": name, "services": services, "networks": networks}, {})
        for name, services in sorted(found.items())
    ]


def _docker(*arguments: str) -> str:
    status, output, messages = _run(["docker", *arguments])
    if status:
        what = messages[-1] if messages else f"exit status {status}"
        raise HcrunError(f"docker {arguments[0]}: {what}", hint=_ENGINE_HINT)
    return output


def _service(
    container: Mapping[str, Any], labels: Mapping[str, str], names: Mapping[str, str]
) -> dict[str, Any]:
    """The container as a service of a compose file."""
    config, host, state = (container[key] for key in ("Config", "HostConfig", "State"))
    network = container["NetworkSettings"]
    bindings = (network if state["Running"] else {"Ports": host["PortBindings"]})["Ports"] or {}
    ports = [
        {"host_ip": each["HostIp"], "published": each["HostPort"], "target": int(target)}
        for target, _, protocol in (port.partition("/") for port in bindings)
        for each in bindings[f"{target}/{protocol}"] or ()
        if protocol == "tcp"
    ]
    mode, _, other = host["NetworkMode"].partition(":")
    # The engine publishes no port of a container whose networks are all internal.
    is_internal = not ports and host["PortBindings"] and mode not in ("host", "none", "container")
    is_over = state["Status"] == "exited" and not state["ExitCode"]
    needed = re.findall(r"([^:,]+):([^:,]+)", labels.get(f"{_LABEL}depends_on", ""))
    networks = {name: {"aliases": each["Aliases"]} for name, each in network["Networks"].items()}
    return {
        "image": config["Image"],
        "entrypoint": config["Entrypoint"],
        "command": config["Cmd"],
        "environment": dict(entry.split("=", 1) for entry in config["Env"] or () if "=" in entry),
        "healthcheck": {"test": (config.get("Healthcheck") or {}).get("Test")},
        "working_dir": config["WorkingDir"],
        "hostname": config["Hostname"],
        "network_mode": f"container:{names.get(other, other)}" if mode == "container" else mode,
        "networks": {"internal": {}} if is_internal else networks,
        "ports": ports,
        "volumes": [
            {"type": each["Type"], "source": each["Source"], "target": each["Destination"]}
            for each in container["Mounts"]
        ],
        "depends_on": {name: {"condition": how} for name, how in needed},
        "x-containers": [],
        "x-finished": is_over and host["RestartPolicy"]["Name"] in ("", "no", "on-failure"),
    }


def read_host() -> tuple[Project, list[str]]:
    """The services, as those of a project, and what else there is."""
    status, output, messages = _run(["ss", "-Hltnp"])
    if status:
        raise HcrunError(f"ss: {messages[-1] if messages else status}", hint="install iproute2")
    usual = [has.get("port") for has in KINDS.values()]
    sockets = [match.groups() for match in map(_SOCKET.match, output.splitlines()) if match]
    services: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    is_docker = False
    for host, text, pid in sorted(sockets, key=lambda each: (int(each[1]) not in usual, each)):
        words = _command(pid)
        is_docker = is_docker or os.path.basename(words[0]) == "docker-proxy"
        port = int(text)
        facts = {
            "image": "" if words[0] else TABLES["listening"].get(text),
            "command": words,
            "network_mode": "host",
            "x-listen": ("" if host in ("*", "0.0.0.0", "::") else host, port),  # noqa: S104
            "x-containers": [],
        }
        kind = classify(Project({"services": {"": facts}}, {}))[0].get("", "kafka-consumer")
        if kind != "kafka-consumer" and not {text, pid or text} & seen:
            services[f"{kind}-{port}" if kind in services else kind] = facts
            seen |= {text, pid or text}
    project = Project({"name": socket.gethostname(), "services": services}, {})
    return project, [_DOCKER] if is_docker else []


def _command(pid: str | None) -> list[str]:
    """The words of the process; [""] if it belongs to another user."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode(errors="replace").rstrip("\0").split("\0")
    return [""]
