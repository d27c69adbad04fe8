"""Prints the man page of hcrun, made from the same texts as --help: `make docs`."""

from hcrun import __version__
from hcrun.run.help import ABOUT, EXAMPLES, GROUPS, SECRETS, STATUSES, run_variables
from hcrun.run.options import USAGE


def page() -> str:
    """Return the page in man(7) macros."""
    name = "hcrun \\- run a command and report to Healthchecks how it went"
    parts = [
        f'.TH HCRUN 1 "" "hcrun {__version__}"',
        f".SH NAME\n{name}",
        f".SH SYNOPSIS\n.B {safe(USAGE.removeprefix('Usage: '))}",
        ".SH DESCRIPTION\n" + safe(ABOUT).replace("\n\n", "\n.PP\n"),
        ".SH EXAMPLES\n.nf",
        *(safe(line.strip()) for line in EXAMPLES.splitlines()[1:]),
        ".fi",
    ]
    for title, options in GROUPS.items():
        parts.append(f".SH {title.upper()}")
        for option in options:
            metavar = f" \\fI{safe(option.metavar)}\\fR" if option.metavar else ""
            parts.append(f".TP\n\\fB{safe(option.flag)}\\fR{metavar}\n{safe(option.help)}")
    for title, rows in (("EXIT STATUS", STATUSES.items()), ("ENVIRONMENT", run_variables())):
        parts.append(f".SH {title}")
        parts += [f".TP\n.B {safe(left)}\n{safe(right)}" for left, right in rows]
    parts.append(f".PP\n{safe(SECRETS)}")
    parts.append(".SH SEE ALSO\n.BR timeout (1),\n.BR flock (1),\n.BR crontab (5)")
    return "\n".join(parts) + "\n"


def safe(text: str) -> str:
    """Escape text for roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in ".'" else line for line in text.split("\n"))


if __name__ == "__main__":
    print(page(), end="")
