"""Commands that cannot be started: where they may be, why, and what to write instead."""

import errno
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from hcrun.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND
from hcrun.formats import shell
from hcrun.text import shortened

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
_OPERATOR = re.compile(r"&&|\|\|?|;;?|&|\(\(?|\)\)?|[{}!]|\[\[|\]\]|(\d*(>>?|<|>\||>&)|&>>?)\S*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
# Words that only a shell knows. These change something for the commands after them.
_PREPARING = re.compile(r"cd|export|unset|umask|ulimit|set|alias|trap|\.|source|pushd|shopt")
_KNOWN = re.compile("exec|eval|command|type|read|wait|if|while|until|for|case|:")
_BASH = {"[[", "((", "source", "pushd", "shopt"}
_BASH_SYNTAX = re.compile(r"[<>]\(|&>|\|&")
_TESTS = ("[", "test", "expr")  # their operators look like those of a shell
_USUAL = ("/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")
_LONGEST = 300  # characters of a form


def find(name: str) -> str:
    """The file that a shell would run, else one beside hcrun's own program; "" if none.

    Under cron, PATH lacks the directory of the probes, but the line names that of hcrun.
    """
    own = (os.path.dirname(os.path.realpath(sys.argv[0])), os.path.dirname(sys.executable))
    return _program(name, (*os.get_exec_path(), *own))


def _program(name: str, directories: Iterable[str]) -> str:
    found = (path for path in _files(name, directories) if os.access(path, os.X_OK))
    return next((path for path in found if not os.path.isdir(path)), "")


def _files(name: str, directories: Iterable[str]) -> Iterator[str]:
    """The files of that name, whether or not they can be run; a directory only by its path."""
    for path in [name] if "/" in name else [os.path.join(place, name) for place in directories]:
        if os.path.lexists(path) and (path == name or not os.path.isdir(path)):
            yield path


def foresee(command: Sequence[str]) -> str:
    """Why the command cannot be started, or will not do what was meant; "" if all is well."""
    name, *rest = command
    if not find(name):
        exists = any(_files(name, os.get_exec_path()))
        return explain(command, errno.EACCES if exists else errno.ENOENT)[1]
    operator = next(filter(_OPERATOR.fullmatch, rest), "")
    if operator and operator not in "(){}!;" and name not in _TESTS:
        form = _form(_for_shell(_line(command)))
        return f"{operator} is only a word for {name}; to have a shell read it, write {form}"
    return ""


def explain(command: Sequence[str], number: int) -> tuple[int, str]:
    """The exit status, as in a POSIX shell, and the reason in words, for this errno."""
    name = command[0]
    is_path = "/" in name
    path = next(_files(name, os.get_exec_path()), "")
    # EACCES without a file: this user may not search a directory of PATH.
    if not path and (number in _ABSENT or (number == errno.EACCES and not is_path)):
        what = "no such file" if is_path else "command not found in PATH"
        if is_path and name[0] not in "/~$" and " " not in name:
            with suppress(OSError):  # the directory was deleted
                what += f" in {os.getcwd()}"
        what = f"{shortened(' '.join(name.split()), 100)}: {what}"
        if _ASSIGNMENT.fullmatch(name):  # its value may be a secret
            what = f"{name.partition('=')[0]} is a variable, not a command"
        hint = _advice(command)
        return EXIT_NOT_FOUND, f"{what}; {hint}" if hint else what
    if number == errno.ENOENT:
        return EXIT_NOT_FOUND, f"{path}: {_missing_part(path)}"
    if number == errno.EACCES and os.path.isdir(path):
        return EXIT_NOT_EXECUTABLE, f"{path}: is a directory"
    if number == errno.EACCES:
        if path and not os.stat(path).st_mode & 0o111:
            hint = f"run chmod +x {shlex.quote(path)}"
            return EXIT_NOT_EXECUTABLE, f"{path}: not executable; {hint}"
        return EXIT_NOT_EXECUTABLE, f"{path or name}: not executable: {os.strerror(number)}"
    return EXIT_NOT_EXECUTABLE, f"{name}: cannot be started: {os.strerror(number)}"


def _missing_part(path: str) -> str:
    """What the kernel did not find to run a file that exists."""
    if not os.path.exists(path):
        return f"is a link to {os.readlink(path)}, which does not exist"
    try:
        with open(path, "rb") as file:
            first = file.readline(256).decode("utf-8", "replace")
    except OSError:
        first = "#!"
    if not first.startswith("#!"):
        return "its program loader does not exist; it was built for another system"
    if first.endswith("\r\n"):
        return f"has Windows line endings; run sed -i 's/\\r$//' {shlex.quote(path)}"
    interpreter = "".join(first[2:].split()[:1])
    return f"its interpreter {interpreter} (#! line) does not exist"


def _advice(command: Sequence[str]) -> str:
    """What to write instead of a command that does not exist, "" if unknown."""
    name, *rest = command
    if name.startswith("-"):
        return "put options of hcrun before CHECK"
    plain = shell.syntax(name) == "" and " " not in name
    if plain and name.startswith("~") and (path := os.path.expanduser(name)) != name:
        return f"~ has no meaning in quotes; write {_form([path, *rest])}"
    if words := _meant(command):
        return f"write {_form(words)}"
    if path := _program(name, _USUAL):
        return f"write {path}, or add {os.path.dirname(path)} to PATH"
    return ""


def _meant(command: Sequence[str]) -> list[str]:
    """The words that do what these words would do in a shell; none if that is nothing else."""
    name, *rest = command
    has_operator = any(map(_OPERATOR.fullmatch, command))
    spaced = len(name.split()) > 1
    if _ASSIGNMENT.fullmatch(name) and not has_operator and (rest or not spaced):
        return ["env", name, *(rest or ["COMMAND"])]
    if not rest and (spaced or shell.syntax(name)):  # a whole line in quotes
        words = list(shell.words(name))
        if "\n" in name or words == ["sh", "-c", name]:
            return _for_shell(name)
        if _is_of_shell(words[0]):
            return _meant(words)
        return words if "/" not in name or find(words[0]) else []
    if _PREPARING.fullmatch(name) and not has_operator:
        return _for_shell(f"{_line(command)} && COMMAND")
    if _is_of_shell(name) or has_operator:
        return _for_shell(_line(command))
    if shell.syntax(name) or (spaced and find(name.split()[0])):  # the beginning of a line
        return _for_shell(f"{name} {_line(rest)}")
    return []


def _is_of_shell(word: str) -> bool:
    return any(kind.fullmatch(word) for kind in (_PREPARING, _KNOWN))


def _for_shell(line: str) -> list[str]:
    """The words that have a shell run the line, bash if sh does not know what it says."""
    first = {word for _, part in shell.parts(line) for word in part.split()[:1]}
    return ["bash" if first & _BASH or _BASH_SYNTAX.search(line) else "sh", "-c", line]


def _line(words: Iterable[str]) -> str:
    """The words as a line for a shell, with the operators among them."""
    return " ".join(word if _OPERATOR.fullmatch(word) else shlex.quote(word) for word in words)


def _form(words: Sequence[str]) -> str:
    """The words as they are typed; what one line of a message cannot show is left out."""
    form = shlex.join(words)
    if len(form) > _LONGEST or not form.isprintable() or "  " in form:
        form = "sh -c 'COMMANDS'"
    return f"-- {form}"
