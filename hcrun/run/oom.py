"""Counts the processes that the kernel killed because memory ran out."""

from __future__ import annotations


def kills() -> int:
    """Return how many processes of this cgroup (or this machine) were OOM-killed so far.

    Reads memory.events of cgroup v2, memory.oom_control of v1, or /proc/vmstat; 0 if none can be
    read. Only the difference between two calls has a meaning.
    """
    for path in (*_cgroup_files(), "/proc/vmstat"):
        try:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except (OSError, ValueError):
            continue
    return 0


def _cgroup_files() -> list[str]:
    files = []
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if not controllers:
                    files.append(f"/sys/fs/cgroup{path}/memory.events")
                elif "memory" in controllers.split(","):
                    files.append(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
    except (OSError, ValueError):
        pass
    return files
