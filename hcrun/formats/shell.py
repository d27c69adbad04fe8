"""Command lines of a shell, taken apart just as far as it takes to see what they run."""

from __future__ import annotations

import re
import shlex

# What is in quotes, in $( ) or behind a backslash: no operator of the line itself.
_ATOM = r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`"
# What means nothing to a shell; in double quotes $ and ` still do.
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\$`])*\"|\\.", re.DOTALL)
_PARTS = re.compile(
    rf"((?:{_ATOM}|[^;&|\\'\"`$]|\$|(?<=[<>])&|&(?=>)|['\"`\\])+)|(&&|\|\||[;&|])", re.DOTALL
)
_SYNTAX = re.compile(r"[|&;<>`$]")
# What else a shell changes: groups, patterns, ~, comments, a variable before the command.
_MORE = re.compile(r"[|&;<>`$()*?\[\]{}~#!]|\A\s*\w+=")
_NOWHERE = re.compile(r"\s*(?:[12]?>>?|&>>?|>&)\s*/dev/null(?:\s*2>&1)?\s*$")
_CAPTURED = re.compile(r"\w+=\$\((.*?)(?:\s*2>&1)?\)", re.DOTALL)  # m=$(command 2>&1)


def syntax(line: str) -> str:
    """The first character that only a shell understands; "" when there is none."""
    found = _SYNTAX.search(_QUOTED.sub("", line))
    return found[0] if found else ""


def words(line: str) -> tuple[str, ...]:
    """The command that does what the line does: its own words, or a shell that reads it."""
    try:
        if not _MORE.search(_QUOTED.sub("", line)):
            return tuple(shlex.split(line))
    except ValueError:  # a quote that nobody closes: the shell will say so
        pass
    return ("sh", "-c", line)


def parts(line: str) -> list[tuple[str, str]]:
    """`a && b; c` -> [("", "a"), ("&&", "b"), (";", "c")]"""
    found: list[tuple[str, str]] = []
    operator = ""
    for match in _PARTS.finditer(line):
        if match[2]:
            operator = match[2]
        elif match[1].strip():
            found.append((operator, match[1].strip()))
            operator = ""
    return found + ([(operator, "")] if operator not in ("", ";") else [])


def joined(parts: list[tuple[str, str]]) -> str:
    """The line again; what stands before its first part is left out."""
    line = ""
    for operator, text in parts:
        line += ("; " if operator == ";" else f" {operator} ") if line else ""
        line += text
    return line.strip()


def without_silence(line: str) -> str:
    """Without what throws the output away: hcrun keeps it."""
    while match := _NOWHERE.search(line):
        line = line[: match.start()]
    return line


def captured(line: str) -> str:
    """`m=$(command)` -> `command`; "" for anything else."""
    found = _CAPTURED.fullmatch(line)
    return found[1].strip() if found else ""
