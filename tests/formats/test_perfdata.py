"""The perfdata of a recorded output: ours, other plugins', and what only looks like it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcrun.excerpt import Excerpt
from hcrun.formats import perfdata
from hcrun.formats.perfdata import PerfValue, read_lines, refused
from probes.framework.verdict import Reading, Verdict


def read(output: Excerpt) -> list[PerfValue]:
    """The values without their thresholds, which test_warnings has."""
    return [each._replace(warning=None) for each in perfdata.read(output)]


def test_warnings() -> None:
    line = "A OK | a=5ms;10;20 b=1;2:;3 c=50%;~:80;90 d=1KiB;2 e=1;;5 f=1"
    found = {each.label: each.warning for each in perfdata.read(Excerpt(line))}
    assert found == {"a": 0.01, "b": None, "c": None, "d": 2048.0, "e": None, "f": None}


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("REDIS OK - in 0.4 ms | latency=0.4ms;0.5;1;0", [("redis", "latency", 0.0004, "seconds")]),
        (
            "CELERY-BEAT WARNING - late | age=90s;;;0 'keys db0'=3;;;0;100",
            [("celery-beat", "age", 90, "seconds"), ("celery-beat", "keys db0", 3, "", 100)],
        ),
        ("DISK CRITICAL - full | use=91.5%;80;90;0;100", [("disk", "use", 0.915, "ratio", 1.0)]),
        ("MINIO OK - fine | size=1500B;;;0;2000", [("minio", "size", 1500, "bytes", 2000)]),
        ("MINIO OK - fine | seen=7c", [("minio", "seen", 7, "total")]),
        # other plugins'
        ("DISK OK - free: / 3 GB|/=2643MB;5;6;0;5968", [("disk", "/", 2643e6, "bytes", 5968e6)]),
        (
            "PING OK - Packet loss = 0% | rta=12.5ms;3000;5000;0 pl=0%;80;100;0",
            [("ping", "rta", 0.0125, "seconds"), ("ping", "pl", 0, "ratio")],
        ),
        (
            "OK: fine | 'it''s'=1.5KiB x=-2;@1:2;~:4",
            [("", "it's", 1536, "bytes"), ("", "x", -2, "")],
        ),
        ("[WARN] so | a=U b=1", [("", "b", 1, "")]),
        (
            "Q OK | w=U;1;2 'it''s=x'=1.5e-05s n=-3",
            [("q", "it's=x", 1.5e-5, "seconds"), ("q", "n", -3, "")],
        ),
        # units: case counts
        ("TEMP OK | temp=21.5C;30;40", [("temp", "temp", 21.5, "")]),
        ("NET OK | in=800b out=5Mb", [("net", "in", 100, "bytes"), ("net", "out", 625e3, "bytes")]),
        (
            "UP OK | up=90m h=2h d=1d ms=500ms",
            [
                ("up", "up", 5400, "seconds"),
                ("up", "h", 7200, "seconds"),
                ("up", "d", 86400, "seconds"),
                ("up", "ms", 0.5, "seconds"),
            ],
        ),
        # a `;` too many
        (
            "DISK OK | /=5MB;7;8;0;10; /var=6MB;7;8;0;10;;",
            [("disk", "/", 5e6, "bytes", 10e6), ("disk", "/var", 6e6, "bytes", 10e6)],
        ),
        # without a status
        ("/ | root=7;;;0;10", [("", "root", 7, "", 10)]),
        ("done | size=2kB took=5s", [("", "size", 2000, "bytes"), ("", "took", 5, "seconds")]),
        # none
        ("no perfdata", []),
        ("a | b", []),
        ("done | size=2kB rows=5", []),
        ("ps aux | grep=1", []),
        ("| table | of=1 | things=2 |", []),
        ("backup | OK | size=2 |", []),
        ("A OK | b", []),
        ("A OK |", []),
        ("", []),
    ],
)
def test_lines(line: str, data: list[tuple[Any, ...]]) -> None:
    assert read(Excerpt(line)) == [PerfValue(*each) for each in data]
    assert refused(Excerpt(line)) == []


@pytest.mark.parametrize(
    ("items", "left_out"),
    [
        ("a=1, b=2", ["a=1,"]),
        ("a=1,5s b=2", ["a=1,5s"]),
        ("odd b=2 and so on", ["odd", "and", "so", "on"]),
        ("a=1furlong b=2 c=1S", ["a=1furlong", "c=1S"]),
        ("b=2 a=1;2;3;4;5;6", ["a=1;2;3;4;5;6"]),
        ("a=1.2.3 b=2 c=1e999 d=. e=", ["a=1.2.3", "c=1e999", "d=.", "e="]),
        ("a=1e308TiB b=2", ["a=1e308TiB"]),
        ('\'a=1 b=2 =3 "two words"=4', ["'a=1", "=3", '"two', 'words"=4']),
        ("b=2 | c:3", ["|", "c:3"]),
    ],
)
def test_an_odd_item_costs_no_other(items: str, left_out: list[str]) -> None:
    output = Excerpt(f"APP OK - fine | {items}")
    assert read(output) == [PerfValue("app", "b", 2.0, "")]
    assert refused(output) == left_out


def test_perfdata_in_lines_of_text() -> None:
    """As the guidelines have it: a second `|` begins a part that goes on to the end."""
    text = (
        "DISK OK - x | /=1MB;2;3;0;9\n/var is fine\nlong text | /var=2MB\n/usr=3MB /tmp=4MB\n"
        "ps aux | grep=1\n/opt=5MB\nTEMP OK\ntwo | in=20C\n"
    )
    assert read(Excerpt(text)) == [
        PerfValue("disk", "/", 1e6, "bytes", 9e6),
        PerfValue("disk", "/var", 2e6, "bytes"),
        PerfValue("disk", "/usr", 3e6, "bytes"),
        PerfValue("disk", "/tmp", 4e6, "bytes"),
        PerfValue("temp", "in", 20, ""),
    ]
    assert [line.words for line in read_lines(text)] == [
        "DISK OK - x ",
        "/var is fine",
        "long text ",
        "",
        "ps aux | grep=1",
        "/opt=5MB",
        "TEMP OK",
        "two ",
        "",
    ]


def test_all_lines_of_an_output() -> None:
    """As probe-all prints them; of two with one label the last counts."""
    output = Excerpt(
        "starting\nALL OK - healthy | seconds=0.2s\nREDIS OK - up | latency=1s\n",
        12345,
        "VAULT OK - up | latency=2s\nREDIS OK - up | latency=3s\nbye | bye\n",
    )
    assert read(output) == [
        PerfValue("all", "seconds", 0.2, "seconds"),
        PerfValue("redis", "latency", 3.0, "seconds"),
        PerfValue("vault", "latency", 2.0, "seconds"),
    ]
    assert read(Excerpt()) == []


def test_half_a_line_is_not_read() -> None:
    assert read(Excerpt("A OK | a=1\nB OK | b=2 c=3", 9, "d=4\nD OK | d=5")) == [
        PerfValue("a", "a", 1.0, ""),
        PerfValue("d", "d", 5.0, ""),
    ]
    assert read(Excerpt("A OK | a=1 b=2")) == [
        PerfValue("a", "a", 1.0, ""),
        PerfValue("a", "b", 2.0, ""),
    ]


@given(
    st.text(min_size=1).filter(
        lambda text: text.isprintable() and text.strip() and "=" not in text and text != "b"
    ),
    st.floats(-1e9, 1e9),
    st.sampled_from(["s", "B", "%", "c", ""]),
    st.none() | st.floats(0, 1e9),
)
def test_what_a_probe_says_is_read(
    label: str, value: float, unit: str, maximum: float | None
) -> None:
    verdict = Verdict("thing")
    verdict.add(Reading(label, value, unit, "well", minimum=0, maximum=maximum), Reading("b", 2.0))
    first, second = read(Excerpt(verdict.line()))
    names = {"s": "seconds", "B": "bytes", "%": "ratio", "c": "total", "": ""}
    factor = 0.01 if unit == "%" else 1
    assert first.label.split() == label.replace("|", "/").split()
    assert (first.probe, first.unit) == ("thing", names[unit])
    assert first.value == pytest.approx(value * factor, abs=1e-6)
    assert first.maximum == (None if maximum is None else pytest.approx(maximum * factor, abs=1e-6))
    assert second == PerfValue("thing", "b", 2.0, "")


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    list(read_lines(text))
    list(read_lines(f"A OK | {text}"))
