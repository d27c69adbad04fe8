"""--help and --version of hcrun."""

from __future__ import annotations

import sys

from hcrun import __version__
from hcrun.options import GROUPS

USAGE = "Usage: hcrun [OPTIONS] CHECK [--] COMMAND [ARG...]"
ABOUT = """\
Run COMMAND, tell Healthchecks how it went, and never harm the command. Its output, exit status
and signals pass through as they are. What could not be delivered is kept and sent later.

CHECK is a name (its UUID or URL in HC_CHECK_<NAME>, or HEALTHCHECKS_PING_KEY and the name as
slug), a UUID, or a full ping URL. DUR is written like 30s, 5m or 1h30m."""
EXAMPLES = (
    ("hcrun redis -- probe-redis", "a probe"),
    ("hcrun --timeout 1h --overlap skip backup -- pg_dump -f /backup/app.sql app", "a job"),
    (
        "hcrun --quiet --expect 'deleted [0-9]+ rows' cleanup -- ./cleanup.sh",
        "checked by its output",
    ),
)
STATUSES = (
    ("the command's", "as it is; 128+n when signal n killed it"),
    ("126, 127", "the command is not executable, was not found"),
    ("124", "--timeout or --idle-timeout ended it"),
    ("75", "--overlap skip: another run is still going"),
    ("125", "hcrun was misused; nothing was run"),
)
VARIABLES = (
    (
        "HEALTHCHECKS_PING_URL",
        "the server: https://hc.example.com/ping. Default: https://hc-ping.com",
    ),
    ("HEALTHCHECKS_PING_KEY", "the project's ping key, for checks by name"),
    ("HC_CHECK_<NAME>", "a check's UUID or ping URL; - in the name is _ here"),
    ("HEALTHCHECKS_ENABLED", "false: record runs, ping nobody"),
    ("HEALTHCHECKS_RETRY_COUNT", "tries of a ping. Default: 3"),
    ("HEALTHCHECKS_RETRY_DELAY", "before the second try; doubled for the third. Default: 1s"),
    ("HCRUN_ENV_FILE", "a file of these. Default: ~/.config/hcrun/hcrun.env, /etc/hcrun/hcrun.env"),
    ("STATE_DIRECTORY", "the journal. Default: /var/lib/hcrun (root), ~/.local/state/hcrun"),
)
SECRETS = "Secrets may be given as NAME_FILE or as a file in $CREDENTIALS_DIRECTORY."


def show(flag: str) -> int:
    print(f"hcrun {__version__}" if flag == "--version" else text(), file=sys.stdout)
    return 0


def text() -> str:
    """The whole help."""
    blocks = [f"{USAGE}\n\n{ABOUT}"]
    blocks.append(_block("Examples", [(f"{line}", "") for line, _ in EXAMPLES], 0))
    for title, options in GROUPS:
        rows = [(f"{o.flag} {o.metavar}".rstrip(), o.help) for o in options]
        blocks.append(_block(title, rows, 24))
    blocks.append(_block("Exit status", STATUSES, 24))
    blocks.append(_block("Environment", VARIABLES, 26) + f"\n  {SECRETS}")
    return "\n\n".join(blocks)


def _block(title: str, rows: object, width: int) -> str:
    import textwrap

    lines = [f"{title}:"]
    for left, right in rows:  # type: ignore[attr-defined]
        wrapped = textwrap.wrap(right, 98 - width) or [""]
        lines.append(f"  {left:<{width}}{wrapped[0]}".rstrip())
        lines += [" " * (width + 2) + more for more in wrapped[1:]]
    return "\n".join(lines)
