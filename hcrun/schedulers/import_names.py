"""What a check is called that runs a command: `python3 /srv/app/clean_up.py -v` -> clean-up."""

from __future__ import annotations

import os
import re
import shlex

from hcrun.formats import shell
from hcrun.ping.target import is_uuid

_LONGEST = 60
# Programs that run another one, and how many words of their own stand before it.
_WRAPPERS = {
    **dict.fromkeys(("env", "nice", "ionice", "nohup", "setsid", "time", "chronic", "exec"), 0),
    **dict.fromkeys(("sudo", "runuser", "systemd-cat", "eatmydata", "chrt", "stdbuf"), 0),
    **dict.fromkeys(("flock", "timeout", "chroot"), 1),
}
_VALUED = ("-u", "-g", "-w", "-s", "-k")  # options of those with a word behind
_INTERPRETER = re.compile(
    r"(?:python|pypy|php|perl|ruby|node|lua)[\d.]*|(?:ba|da|z|k)?sh|Rscript|uv|poetry"
)
_SCRIPT = re.compile(r"\.(?:sh|bash|py|php|pl|rb|js|R)$")
# Programs whose first word says what they do.
_MANY = {
    *("manage", "artisan", "console", "app", "cli", "main", "rake", "flask", "django-admin"),
    "make",
}
# What a line of a shell does before it comes to the point.
_BEFORE = {
    *("cd", "test", "[", "set", "export", "umask", "sleep", ".", "source", "true", ":", "echo"),
    *("if", "command"),
}


def slug(command: tuple[str, ...]) -> str:
    """A name in the letters that a slug may have; not yet unique."""
    name = _name(list(command))
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].rstrip("-")
    return f"job-{found}" if is_uuid(found) else found or "job"


def _name(words: list[str]) -> str:
    while words:
        word = os.path.basename(words.pop(0))
        if word in _WRAPPERS:
            words = _behind(words, _WRAPPERS[word], _VALUED)
        elif word == "docker" and "exec" in words:
            words = _behind(words[words.index("exec") + 1 :], 1, _VALUED)
        elif _INTERPRETER.fullmatch(word):
            if "-c" in words[:2]:
                return _of_line(words[words.index("-c") + 1] if words[-1] != "-c" else "") or word
            if words[:1] == ["-m"]:
                return words[1] if len(words) > 1 else word
            words = _behind(words, 0)
            if words[:1] == ["run"]:
                words = words[1:]
            if not words:
                return word
        else:
            stem = _SCRIPT.sub("", word)
            more = _behind(words, 0)
            return more[0] if stem in _MANY and more else stem
    return ""


def _behind(words: list[str], own: int, valued: tuple[str, ...] = ()) -> list[str]:
    """Less options (those in `valued` with a word), assignments, numbers, and `own` words."""
    words = list(words)
    while words:
        if words[0] in valued and len(words) > 2:
            del words[:2]
        elif re.match(r"-|\w+=|[\d.]+[smhd]?$", words[0]):
            own -= words[0][0].isdigit() and own > 0
            del words[0]
        elif own > 0:
            own -= 1
            del words[0]
        else:
            break
    return words


def _of_line(line: str) -> str:
    """The first program of a shell's line that is more than a preparation."""
    for _, part in shell.parts(line):
        try:
            words = shlex.split(part.lstrip("({! "))
        except ValueError:  # a quote that nobody closes
            words = part.split()
        words = _behind(words[1:] if words[:1] == ["then"] else words, 0)
        if words and words[0] not in _BEFORE:
            return _name(words)
    return ""
