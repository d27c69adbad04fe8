"""What an administrator should know of a command line before a check reports its exit status."""

import re
from collections.abc import Iterator

from hcrun.formats import shell
from hcrun.text import shortened

_GUARD = re.compile(r"(?:test|\[\[?)\s")
_NEVER_FAILS = re.compile(r"(?:true|:|exit\s+0)[\s)}]*")
_FAILS = re.compile(r"\bexit\s+[^0\s]|\bfalse\b")
_PREPARES = re.compile(
    r"[\s({]*(?:cd|export|set|\.|source|umask|ulimit|sleep|\w+=\S*|if|then|fi|else)\b"
)
_CLOSES = re.compile(r"[\s)}]*(?:fi|done|esac|[)}])[\s)}]*")
_SYSTEMD = "/run/systemd/system"


def without_background(line: str) -> str:
    """`a > /log &` -> `a > /log`"""
    return re.sub(r"\s*(?<![&\\<>])&\s*\Z", "", line)


def notes(line: str) -> Iterator[str]:
    parts = [part for part in shell.parts(line) if not _CLOSES.fullmatch(part[1])]
    last = shortened(parts[-1][1], 60) if parts else ""
    operators = [operator for operator, _ in parts[1:]]
    prepared = all(_PREPARES.match(text) for _, text in parts[:-1])
    guarded = bool(operators and _GUARD.match(parts[0][1]))
    if _SYSTEMD in line:
        yield (
            f"it tests {_SYSTEMD}: where systemd runs, it does nothing and the check is up;"
            " import the timer of this job instead, or remove the test"
        )
    elif guarded:
        result = "up" if operators[0] == "||" else "down"
        yield f"when `{parts[0][1]}` ends it, the check is {result} although the job did not run"
    others = [f"|| {text}" for operator, text in parts[1 + guarded :] if operator == "||"]
    if operators and operators[-1] == ";" and _NEVER_FAILS.fullmatch(parts[-1][1]):
        others.append(f"; {last}")
    if others and not _FAILS.search(line):
        yield f"`{shortened(others[-1], 60)}` hides its failures: remove it"
    elif "&" in operators:
        yield "what runs in the background cannot fail the check: remove the &, or write &&"
    elif "|" in operators:
        if "pipefail" not in line:
            yield (
                f"only the last command of the pipe can fail the check: {last};"
                ' with bash, begin it with "set -o pipefail;"'
            )
    elif ";" in operators and not (_FAILS.search(line) or prepared):
        yield f"only its last command can fail the check: {last}; write && for ;"
