"""The real Healthchecks server of the tests marked `real`, as HC_REAL_* variables name it.

Such a test is skipped while a variable is missing: one of NEEDED, or one that the mark names.
`python -m tests.support.real` lists what is missing, for `make test-real`.
"""

import os
import sys

import pytest

NEEDED = {
    "HC_REAL_PING_URL": "as HEALTHCHECKS_PING_URL: http://127.0.0.1:8000/ping",
    "HC_REAL_PING_KEY": "the ping key of a project of its own, with at least one channel",
    "HC_REAL_API_URL": "http://127.0.0.1:8000/api/v3",
    "HC_REAL_API_KEY": "the read-write key of that project",
    "HC_REAL_READ_KEY": "the read-only key of that project",
    "HC_REAL_METRICS_KEY": "METRICS_KEY of the server",
}
MORE = {
    "HC_REAL_DATABASE_URL": "its PostgreSQL, for the SQL view",
    "HC_REAL_MANAGE": "the command of its manage.py, for `hcctl channels bootstrap`",
    "HC_REAL_SMTP_PORT": "its EMAIL_PORT on 127.0.0.1, without TLS, where the tests receive alerts",
    "HC_REAL_SOURCE": "a directory with its source, for the names of its settings",
}


def setting(name: str) -> str:
    """The value of HC_REAL_<NAME>, without a slash at its end."""
    return os.environ.get(f"HC_REAL_{name}", "").rstrip("/")


def settings(*names: str) -> dict[str, str]:
    """The named HEALTHCHECKS_* settings of the real server; all that are needed without a name."""
    names = names or tuple(name.removeprefix("HC_REAL_") for name in NEEDED)
    return {f"HEALTHCHECKS_{name}": setting(name) for name in names}


def missing(*more: str) -> list[str]:
    return [name for name in (*NEEDED, *more) if not os.environ.get(name)]


def skip_without_server(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("real")
        if mark and missing(*mark.args):
            names = ", ".join(mark.args) or "HC_REAL_*"
            reason = f"no real server: {names} not set; see `make test-real`"
            item.add_marker(pytest.mark.skip(reason=reason))


if __name__ == "__main__":
    if names := missing():
        print("make test-real needs a Healthchecks server (v4 or later); set:", file=sys.stderr)
        for name in names:
            print(f"  {name:20} {NEEDED[name]}", file=sys.stderr)
        sys.exit(1)
    for name in missing(*MORE)[len(missing()) :]:
        print(f"{name} is not set: tests of {MORE[name]} are skipped", file=sys.stderr)
