"""Crontabs as Debian's cron reads them; its own `crontab -n` is asked, where there is one."""

import shutil
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hcrun.formats.crontab import Entry, bad_schedule, entries, escape, problems

TEXT = r"""# made by hand
MAILTO=""
 PATH = /usr/bin:/bin
'NAME'="two words"

*/15 0-6/2,8 1,15 jan Mon-Fri	app	echo 100\% \\\\n%Dear Sir,%50\% off
@daily root  exec true
"""


def test_entries() -> None:
    environ = {"MAILTO": "", "PATH": "/usr/bin:/bin", "NAME": "two words"}
    when, given = "*/15 0-6/2,8 1,15 jan Mon-Fri", "Dear Sir,\n50% off\n"
    assert entries(TEXT) == [
        Entry(6, when, "app", r"echo 100% \\n", given, environ),
        Entry(7, "@daily", "root", "exec true", "", environ),
    ]
    assert problems(TEXT) == []


def test_entries_of_a_user() -> None:
    text = "0 5 * * 1 tar -zcf /var/backups/home.tgz /home/\n@hourly\tsync\n"
    assert entries(text, system=False) == [
        Entry(1, "0 5 * * 1", "", "tar -zcf /var/backups/home.tgz /home/"),
        Entry(2, "@hourly", "", "sync"),
    ]
    assert problems(text, system=False) == []
    why = "line 1: the command begins with *; remove a field"
    assert problems("* * * * * * true\n", system=False) == [why]


def test_bad_lines_are_left_out_and_named() -> None:
    text = "* * * * * root true\n60 * * * * root true\n\n* * * * * root\n"
    assert [entry.line for entry in entries(text)] == [1]
    assert problems(text) == [
        "line 2: bad minute: '60' is not within 0-59",
        "line 4: the command is missing",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("* * * * * app true", "the last line does not end in a newline"),
        ("* * * * *\n", "line 1: user and command are missing"),
        ("* * * *\n", "line 1: expected 5 fields, found 4"),
        ("rubbish\n", "line 1: expected 5 fields, found 1"),
        ("MAILTO=\n", 'line 1: expected 5 fields, found 1; write an empty value as MAILTO=""'),
        ('"NAME=b\n', "line 1: expected 5 fields, found 1"),
        ("@often app true\n", "line 1: unknown @often; use @annually,"),
        ("*/0 * * * * app true\n", "line 1: bad minute: '*/0' steps by 0"),
        ("5/15 * * * * app true\n", "line 1: bad minute: '5/15' has a step but no range; write"),
        ("* 24 * * * app true\n", "line 1: bad hour: '24' is not within 0-23"),
        ("* * 0 * * app true\n", "line 1: bad day of month: '0' is not within 1-31"),
        ("* * * may-jan * app true\n", "line 1: bad month: 'may-jan' is an empty range"),
        ("* * * * fry app true\n", "line 1: bad day of week: 'fry' is not within 0-7"),
        ("1, * * * * app true\n", "line 1: bad minute: '' is not a number, a range or *"),
        ("* * * * * app true\r\n", "lines end in carriage returns"),
        ("* * * * * app tr\0ue\n", "contains a NUL byte"),
        ("* * * * * app " + "x" * 999 + "\n", "line 1: the command has 999 bytes; the maximum"),
        ("* * * * * app " + "ä" * 500 + "\n", "line 1: the command has 1000 bytes; the maximum"),
        ("#\n" * 10_001, "has 10001 lines; the maximum is 10000"),
    ],
)
def test_problems(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(problem)


WORDS = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1)


@given(WORDS.filter(lambda text: text.strip(" \t") == text and len(text.encode()) < 300))
@example(r"date +%F \% \\ \\% 'a\b' \\\\")
def test_an_escaped_command_comes_back(command: str) -> None:
    text = f"* * * * * app {escape(command)}\n"
    assert problems(text) == []
    (entry,) = entries(text)
    assert (entry.command, entry.input) == (command, "")


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(problems(text), list)


FIELD = st.from_regex(r"(\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[0-9]{1,2})?", fullmatch=True)


@pytest.mark.skipif(not shutil.which("crontab"), reason="no crontab(1) here")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.just("*"), FIELD), min_size=5, max_size=5))
def test_cron_takes_what_is_good(fields: list[str]) -> None:
    """The other way round we are stricter: cron takes an empty range, which never runs."""
    good = not bad_schedule(" ".join(fields))
    text = " ".join(fields) + " true\n"
    asked = subprocess.run(
        ["crontab", "-n", "-"], input=text, capture_output=True, text=True, timeout=20, check=False
    )
    if good:
        assert asked.returncode == 0, asked.stderr
    elif "empty range" not in bad_schedule(" ".join(fields)):
        assert asked.returncode == 1
