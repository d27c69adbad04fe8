"""Passes on what the command's leftover processes print, also after hcrun has ended."""

import _signal as signal
import os
import stat
from _collections_abc import Mapping

from hcrun.run.streams import Stream, reopened

# Two small processes: one with Python takes ten times the memory. They end with the last writer.
# If the reader of the output ends, SIGPIPE ends `cat`, and the writers get SIGPIPE in turn. After
# another error, such as a full disk, output is dropped for a second. A stopped service must not
# lose what its processes print last.
_SCRIPT = """# hcrun passes on what a leftover process prints
trap '' HUP INT QUIT TERM; cd /; PATH=$PATH:/usr/bin:/bin; cat <&3; exec 3<&-
until cat; do [ $? = 1 ] || exit; timeout -s KILL 1 cat >/dev/null; done"""
_REST = 3  # the descriptor from which the script reads first


def pass_on(streams: list[Stream], environ: Mapping[bytes, bytes]) -> None:
    """Start a reader for each pipe that is still open: else its writers get SIGPIPE."""
    for stream in streams:
        if stream.open and stream.is_output and stat.S_ISFIFO(os.fstat(stream.source).st_mode):
            try:
                _start_reader(stream, environ)
            except OSError:  # no process or descriptor is left, no sh, or nobody reads
                continue


def _start_reader(stream: Stream, environ: Mapping[bytes, bytes]) -> None:
    sink = stream.sink
    rest, write = os.pipe()
    opened = [rest, write]
    try:
        os.set_blocking(write, False)
        os.write(write, sink.take())
        os.set_blocking(stream.source, True)
        target = sink.fd
        if sink.fd < 0:  # --quiet
            opened.append(target := os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
        elif sink.fd > 2:  # hcrun's own: it must stay non-blocking
            opened.append(target := reopened(sink.fd))
            os.set_blocking(target, True)
        pairs = ((stream.source, 0), (target, 1), (rest, _REST))
        os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _SCRIPT],
            {name: environ[name] for name in (b"PATH", b"HCRUN_CHECK") if name in environ},
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, fd, number) for fd, number in pairs),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inherited()),
            ],
            setpgroup=0,
            setsigdef=[signal.SIGPIPE],  # Python ignores it
        )
    finally:
        for fd in opened:
            os.close(fd)


def _inherited() -> list[int]:
    """Descriptors that a new process would get: a lock of hcrun's parent, for example."""
    fds = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > _REST and os.get_inheritable(int(name)):
                fds.append(int(name))
        except OSError:  # that of the listing itself
            continue
    return fds
