"""The services of a project, as `docker compose config` has them."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from hcrun.files import table, text_of

TABLES = table(__file__, "services.toml")
KINDS, WORDS = TABLES["kinds"], TABLES["words"]
_REFERENCE = re.compile(r"\$\{?(\w+)(?::?-([^}]*))?\}?")
_ADDRESS = re.compile(r"(?:https?://)?(?:(?P<host>[^/]*):)?(?P<port>\d+)/?")
_SECRETS = "/run/secrets/"


class Port(NamedTuple):
    """A published TCP port; `published` is no number if only the engine knows it."""

    host: str
    published: str
    target: int


class Secret(NamedTuple):
    """Where a secret is, its value, which is never shown, and the path of its file."""

    where: str
    value: str = ""
    path: str = ""


class Service:
    """A service of a project; `facts` are its part of the configuration.

    Two are not compose's: `x-containers` are the names of its containers, `x-listen` is where it
    was seen to listen.
    """

    def __init__(self, name: str, facts: Mapping[str, Any], files: Mapping[str, Secret]) -> None:
        """`files` are the secrets in its files, by their paths below /run/secrets."""
        self.name, self.facts, self.files = name, facts, files
        # Without registry, tag and digest.
        image = re.sub(r"(:[^:/]*)?(@.*)?$", "", facts.get("image") or "")
        self.image = re.sub(r"^([^/]*[.:][^/]*|localhost)/", "", image).removeprefix("library/")
        variables = facts.get("environment") or {}
        self.environment = {key: str(value) for key, value in variables.items() if value}
        self.words = [*_words(facts.get("entrypoint")), *_words(facts.get("command"))]
        self.text = self._expanded(self.words)
        test = (facts.get("healthcheck") or {}).get("test") or ()
        self.checking = " ".join(_words([test] if isinstance(test, str) else test))
        self.health = self._expanded([self.checking])
        self.mode = str(facts.get("network_mode") or "")
        self.replicas = int(facts.get("scale", (facts.get("deploy") or {}).get("replicas", 1)))
        self.ports = [
            Port(each.get("host_ip", ""), str(each.get("published", "")), each["target"])
            for each in facts.get("ports") or ()
            if each.get("protocol", "tcp") == "tcp"
        ]

    def _expanded(self, words: Iterable[str]) -> str:
        return _REFERENCE.sub(
            lambda match: self.environment.get(match[1], match[2] or ""), " ".join(words)
        )

    def runs(self, pattern: str) -> bool:
        """Whether one of its commands begins with this."""
        return bool(re.search(rf"{WORDS['before']}(?:{pattern})(?![\w.-])", self.text))

    def options(self, *flags: str) -> list[str]:
        """The values of these options: `--port 1`, `--port=1`, `-p1`."""
        found = []
        for word, following in zip(self.words, [*self.words[1:], ""], strict=False):
            name, equals, value = word.partition("=")
            if name in flags:
                found.append(value if equals else following)
            elif word[:2] in flags:
                found.append(word[2:])
        return found

    def first(self, names: Iterable[str]) -> str:
        """The value of the first of these variables that is set."""
        return next((self.environment[name] for name in names if name in self.environment), "")

    def listens(self, has: Mapping[str, Any]) -> tuple[str, int] | None:
        """The host and the port that its command names, else its variables."""
        if "x-listen" in self.facts:
            host, port = self.facts["x-listen"]
            return host, port
        texts = (self.environment.get(name, "") for name in has.get("texts", ()))
        text = " ".join([self.text, *texts])
        found = [re.search(pattern, text) for pattern in has.get("listen", ())]
        found.append(_ADDRESS.fullmatch(self.first(has.get("variables", ()))))
        for match in filter(None, found):
            return match.groupdict().get("host") or "", int(match["port"])
        return None

    @cached_property
    def itself(self) -> re.Match[str] | None:
        """The address of itself in its health check."""
        pattern = WORDS["itself"].replace("{names}", "|".join(map(re.escape, self.names)))
        found = re.finditer(pattern, self.health)
        return next((match for match in found if match["scheme"] or match["port"]), None)

    @cached_property
    def names(self) -> set[str]:
        """The names by which other services reach it."""
        networks = (self.facts.get("networks") or {}).values()
        aliases = [alias for each in networks for alias in (each or {}).get("aliases") or ()]
        own = (self.facts.get(key) for key in ("container_name", "hostname"))
        return {self.name, *aliases, *filter(None, own)}

    def secret(self, variables: Iterable[str], flag: str = "") -> Secret | None:
        """The secret of this option, else of the first of these variables, or of its file."""
        given = next(filter(None, self.options(flag) if flag else ()), "")
        if file := re.fullmatch(r"\$\(\s*(?:cat\s+|<\s*)(\S+?)\s*\)", given):
            return self._file(file[1])
        reference = re.fullmatch(r"\$\{?(\w+)\}?", given)
        if given and not reference:
            return Secret(f"command {flag}", given)
        for name in [reference[1]] if reference else variables:
            if path := self.environment.get(f"{name}_FILE"):
                return self._file(path)
            if value := self.environment.get(name):
                return Secret(name, value)
        return None

    def _file(self, path: str) -> Secret:
        unknown = Secret(f"file {path} of its container")
        return self.files.get(path.removeprefix(_SECRETS), unknown)


class Project:
    """The services of a project by name."""

    def __init__(
        self, facts: Mapping[str, Any], secrets: Mapping[str, Secret], base: str = ""
    ) -> None:
        """`secrets` are those of the project; paths are shown from the directory `base`."""
        self.name = str(facts.get("name") or "")
        self.services = {
            name: Service(name, each, _files(each, secrets, base))
            for name, each in (facts.get("services") or {}).items()
        }
        networks = facts.get("networks") or {}
        self.internal = {name for name, each in networks.items() if (each or {}).get("internal")}
        self.by_name = {each: s.name for s in self.services.values() for each in s.names}

    def containers(self, service: Service) -> list[str]:
        """The names of its containers."""
        if name := service.facts.get("container_name"):
            return [name]
        numbers = range(1, max(1, service.replicas) + 1)
        default = [f"{self.name}-{service.name}-{number}" for number in numbers]
        return list(service.facts.get("x-containers", default))


def _files(facts: Mapping[str, Any], secrets: Mapping[str, Secret], base: str) -> dict[str, Secret]:
    """The secrets in the files of a service, by their paths."""
    found = {}
    for entry in facts.get("secrets") or ():
        path = str(entry.get("target") or entry["source"])
        found[path.removeprefix(_SECRETS)] = secrets[entry["source"]]
    for entry in facts.get("volumes") or ():
        if entry.get("type") == "bind":
            found[entry["target"].removeprefix(_SECRETS)] = file_secret(entry["source"], base)
    return found


def file_secret(path: str, base: str) -> Secret:
    """The secret in a file, whose path is shown from `base`."""
    text = text_of(path).strip()
    shown = os.path.relpath(path, base) if base else path
    return Secret(f"file {path if shown.startswith('..') else shown}", text, path)


def _words(given: Iterable[str] | None) -> Iterator[str]:
    """The words of a command, and those in the command line of a shell."""
    previous = ""
    for word in given or ():
        is_line = re.fullmatch(r"-[a-z]*c|CMD-SHELL", previous) or re.match(r"--\S+\s", word)
        previous = word
        yield from _split(word) if is_line else [word]


def _split(line: str) -> list[str]:
    lexer = shlex.shlex(line.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:  # an unclosed quote
        return line.split()
