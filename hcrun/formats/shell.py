"""Splits command lines of a shell as far as needed to see what they run."""

import re
import shlex

# Text in quotes, in $( ) or behind a backslash, which has no operator of the line itself.
_ATOM = r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`"
# Text that a shell takes literally; in double quotes it still reads $ and `.
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\$`])*\"|\\.", re.DOTALL)
_PARTS = re.compile(
    rf"((?:{_ATOM}|[^;&|\\'\"`$]|\$|(?<=[<>])&|&(?=>)|['\"`\\])+)|(&&|\|\||[;&|])", re.DOTALL
)
_SYNTAX = re.compile(r"[|&;<>`$]")
# What else a shell reads: groups, patterns, ~, comments, a variable before the command, and what
# only a shell can run.
_MORE = re.compile(
    r"[|&;<>`$()*?\[\]{}~#!]|\A\s*(?:\w+=|(?:\.|:|source|cd|exec|eval|export|set|unset|umask|ulimit|trap"
    r"|wait|exit|command|type|alias|time|builtin|shopt|read|return|local|declare)(?:\s|\Z))"
)
_NOWHERE = re.compile(r"\s*(?:[12]?>>?|&>>?|>&)\s*/dev/null(?:\s*2>&1)?\s*$")
_CAPTURED = re.compile(r"\w+=\$\((.*?)(?:\s*2>&1)?\)", re.DOTALL)  # m=$(command 2>&1)


def syntax(line: str) -> str:
    """Returns the first character that only a shell understands, "" if there is none."""
    found = _SYNTAX.search(_QUOTED.sub("", line))
    return found[0] if found else ""


def words(line: str) -> tuple[str, ...]:
    """Returns the words of the line, or of a shell that runs it."""
    try:
        if not _MORE.search(_QUOTED.sub("", line)):
            return tuple(shlex.split(line))
    except ValueError:  # an unclosed quote: the shell will report it
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
    """Joins parts to a line, without the operator before the first part."""
    line = "".join(text for _, text in parts[:1])
    for operator, text in parts[1:]:
        line += f"{operator} {text}" if operator == ";" else f" {operator} {text}"
    return line.strip()


def without_silence(line: str) -> str:
    """Removes redirections to /dev/null, because hcrun keeps the output."""
    while match := _NOWHERE.search(line):
        line = line[: match.start()]
    return line


def captured(line: str) -> str:
    """`m=$(command)` -> `command`; "" for anything else."""
    found = _CAPTURED.fullmatch(line)
    return found[1].strip() if found else ""
