"""Forks of a process that has loaded hcctl and every probe: they start at once.

Which modules a start of its own loads, what that costs, and what a missing library does, is for
tests that run the installed scripts.
"""

import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import hcrun
from probes.check_all import KNOWN

Fork = multiprocessing.process.BaseProcess
Ended = CompletedProcess[str]
_APPLICATIONS = ("bin", "integrations", "celery_tasks", "testing")  # change who imports them
_HERE = Path(hcrun.__file__).parent
_MODULES = [
    ".".join(("hcrun", *path.relative_to(_HERE).with_suffix("").parts))
    for path in sorted(_HERE.rglob("[a-z]*.py"))
    if path.relative_to(_HERE).parts[0].removesuffix(".py") not in _APPLICATIONS
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "pytest",
        "tests.support.forks",
        "tests.servers.slow_machine",
        "tests.servers.process",
        *_MODULES,
        *(f"probes.check_{name.replace('-', '_')}" for name in KNOWN),
        *(library for known in KNOWN.values() for library in known.libraries),
    ]
)


def become(argv: Sequence[str], environ: Mapping[str, str], output: str) -> None:
    """Make this fork look like a new process, with stdout and stderr in files of `output`."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(("stdout", "stderr"), 1):
        os.dup2(os.open(f"{output}/{file}", os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    sys.argv = list(argv)


def completed(
    fork: Fork, words: Sequence[str], output: str, patience: float
) -> "CompletedProcess[str]":
    """Wait until it ends. Raises TimeoutExpired."""
    fork.join(patience)
    if fork.exitcode is None:
        fork.kill()
        raise TimeoutExpired(list(words), patience)
    texts = [Path(output, name).read_text() for name in ("stdout", "stderr")]
    return CompletedProcess(list(words), fork.exitcode, *texts)


def hcctl(
    argv: Sequence[str], environ: Mapping[str, str], patience: float
) -> "CompletedProcess[str]":
    """Run the console script in a fork."""
    with tempfile.TemporaryDirectory() as output:
        fork = FORKS.Process(target=_hcctl, args=(argv, environ, output, os.getcwd()))
        fork.start()
        return completed(fork, argv, output, patience)


def _hcctl(argv: Sequence[str], environ: Mapping[str, str], output: str, directory: str) -> None:
    os.chdir(directory)
    become(argv, environ, output)
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # as in the C locale
    from hcrun.ctl.main import main

    main()
