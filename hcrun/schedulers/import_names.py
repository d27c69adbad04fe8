"""Finds names for checks in the command lines of jobs.

A name must say what the job does, and must not have a secret in it: it is part of the ping URLs.
"""

import os
import re
import shlex
from collections.abc import Iterator

from hcrun import files
from hcrun.formats import shell
from hcrun.redact import HIDDEN, Redactor

_TABLES = files.table(__file__, "import_words.toml")
_WRAPPERS = {name: words.split() for name, words in _TABLES["wrappers"].items()}
_SECOND_WORDS: dict[str, str] = _TABLES["second_words"]
_CONTAINERS = {name: words.split() for name, words in _TABLES["containers"].items()}
_WORDS = {name: set(words.split()) for name, words in _TABLES["words"].items()}
PROGRAMS = {*_WRAPPERS, *_CONTAINERS}.union(
    *(_WORDS[name] for name in ("interpreters", "setup", "dispatchers", "tools"))
)
KEPT = {section: set(keys.split()) for section, keys in _TABLES["kept"].items()}

_REDIRECTION = re.compile(r"""(?:\d|&)?(?:>>?|<)(?:&\d|\s*(?:"[^"]*"|'[^']*'|\S+))""")
INSERTED = re.compile(r"\$\([^()]*\)|`[^`]*`")
_SETTING = re.compile(r"\w+=")
_SUFFIX = re.compile(
    r"(?<=.)\.(?:sh|bash|zsh|py|php|pl|rb|js|mjs|cjs|ts|jar|exe|bin|R|lua|conf|log|sql|tgz|tar|gz)\Z"
)
_SAID = re.compile(r"(?=.*[A-Za-z]{2})[A-Za-z_:.-]{2,40}(?:[_-]v?\d)?")
_SHORT = re.compile(r"[a-z]{1,10}|.*[_:.-].*")  # digits and long words may be secret
_HOST = re.compile(r"\w+://(?:[^/@]*@)?([A-Za-z.-]+)")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
# What may be a key: very long, or long with several digits.
_RANDOM = re.compile(r"[a-z0-9]{21,}|(?=(?:[a-z]*[0-9]){3})(?=.*[a-z])[a-z0-9]{8,}|[0-9]{5,}")


def slug(name: str) -> str:
    """Returns the name as a slug, without parts that may be secret."""
    plain = _UUID.sub("", name.lower().replace(HIDDEN, ""))
    parts = re.sub(r"[^a-z0-9]+", "-", plain).strip("-").split("-")
    return "-".join(part for part in parts if not _RANDOM.fullmatch(part))[:60].strip("-")


def names(line: str) -> Iterator[str]:
    """Yields slugs for a command line, the best one first."""
    directory, source = "", ""
    for _, part in shell.parts(INSERTED.sub("_", line)):
        program, arguments, inner = _unwrapped(_words(part))
        if inner:
            yield from names(inner)
            return
        if program == "cd":
            directory = "".join(arguments[:1])
        elif program in (".", "source"):
            source = "".join(arguments[:1])
        elif program and os.path.basename(program) not in _WORDS["setup"]:
            yield from _names(os.path.join(directory, program), arguments)
            return
    if source:
        yield from _names(source, [])


def _words(part: str) -> list[str]:
    """Returns the words without redirections and secrets."""
    text = _REDIRECTION.sub(" ", re.sub(r"([()])", r" \1 ", part))
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return Redactor().words(words)


def _unwrapped(words: list[str]) -> tuple[str, list[str], str]:
    """Returns the program of the job, its arguments, and instead of them the line of `sh -c`."""
    while words:
        name, rest = os.path.basename(words[0]), words[1:]
        if _SETTING.match(words[0]) or words[0] == HIDDEN:
            words = rest
        elif name in _WORDS["shells"] and "-c" in (flags := [w[0] + w[-1] for w in rest if w]):
            return "", [], " ".join(rest[flags.index("-c") + 1 :][:1])
        elif name in _WRAPPERS:
            values = _WRAPPERS[name]
            words = _after_options(rest, set(values))
            if _SECOND_WORDS.get(name) == "".join(words[:1]) or values[-1:] == ["1"]:
                words = words[1:]
        elif name in _CONTAINERS and rest[:1] and rest[0] in _CONTAINERS[name]:
            while rest and (rest[0].startswith("-") or rest[0] in _CONTAINERS[name]):
                verb = not rest[0].startswith("-")
                rest = rest[1:] if verb else _after_options(rest, _WORDS["container_options"])
            words = rest[1:] or rest  # after the container or the image
        elif re.sub(r"[\d.]+\Z", "", name) in _WORDS["interpreters"]:
            rest = _after_options(rest, _WORDS["interpreter_options"])
            return (rest[0], rest[1:], "") if rest else ("", [], "")
        else:
            return words[0], rest, ""
    return "", [], ""


def _after_options(words: list[str], with_value: set[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in with_value else 1 :]
    return words


def _names(program: str, arguments: list[str]) -> Iterator[str]:
    last = os.path.basename(program)
    name = _SUFFIX.sub("", last)
    if name == "tar":
        arguments = arguments[1:]
    elif name == "run-parts":
        arguments = [word for word in arguments if not word.startswith("-")]
    first, words = slug(name), [*_said(arguments)][:2]
    if first in _WORDS["silent"] or (program.startswith("$") and "/" not in program):
        yield from (slug("-".join(words[:count])) for count in (1, 2))
        return
    if first in _WORDS["dispatchers"] or (name in _WORDS["tools"] and name == last):
        yield from (slug("-".join([name, *words[:count]])) for count in (1, 2))
        return
    if first := _telling(program) or (first if first in _WORDS["weak"] else ""):
        yield first
    yield from (slug(f"{first or name}-{word}") for word in words if _SHORT.fullmatch(word))


def _telling(path: str) -> str:
    """Returns a slug of a path, "" if that says nothing: /opt/acme/run.sh -> acme-run."""
    *above, last = (_SUFFIX.sub("", part) for part in path.rstrip("/").split("/"))
    name = slug(last)
    if name not in _WORDS["vague"] | _WORDS["weak"]:
        return name
    places = (slug(part) for part in reversed(above) if part[:1] not in "$%{@")
    place = next((place for place in places if place not in _WORDS["places"] | {""}), "")
    return place if place.endswith(name) else slug(f"{place}-{name}") if place else ""


def _said(arguments: list[str]) -> Iterator[str]:
    """Yields the arguments that say something, without what may be the value of an option."""
    for word, before in zip(arguments, ["", *arguments], strict=False):
        host = _HOST.match(word)
        if word.startswith("-") or (before.startswith("-") and "=" not in before):
            continue
        base = host[1] if host else _SUFFIX.sub("", os.path.basename(word.rstrip("/")))
        if _SAID.fullmatch(base):
            yield ("/" in word and not host and _telling(word)) or base
