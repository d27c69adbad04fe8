"""probe-prometheus, through its command line, on a real Prometheus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import Command, Like, listening, saying
from tests.servers.prometheus import prometheus

pytestmark = pytest.mark.slow

P95 = (
    "histogram_quantile(0.95, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket"
    '{handler="/none"}[5m])))'
)
TWO = 'label_replace(vector(1), "path", "/a", "", "") or label_replace(vector(3), "p", "b", "", "")'


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus(tmp_path_factory.mktemp("prometheus")) as url:
        yield url


@pytest.fixture
def asked(probe: Command, url: str) -> Command:
    """The probe of the real Prometheus."""
    probe.environ |= {"PROMETHEUS_URL": url, "PROBE_PROMETHEUS_LATENCY_WARNING": "off"}
    return probe


@pytest.mark.parametrize(
    ("query", "flags", "text", "perfdata"),
    [
        (
            "up",
            ["--value-critical", "1:"],
            "OK - URL answers in #T, value instance=HOST,job=self 1",
            "",
        ),
        ("vector(0.25)", [], "OK - URL answers in #T, value 0.25", "value=0.25"),
        (
            "scalar(vector(7))",
            ["--name", "queue", "--value-warning", "5"],
            "WARNING - queue 7 (over 5), URL answers in #T",
            "queue=7;5",
        ),
        (
            TWO,
            ["--value-critical", "2"],
            "CRITICAL - value p=b 3 (over 2), URL answers in #T, 2 values",
            "'value path_/a'=1;;2 'value p_b'=3;;2",
        ),
        ("nothing_like_it", [], "UNKNOWN - value: the query finds no data; check the metric's", ""),
        ("nothing_like_it or vector(0)", [], "OK - URL answers in #T, value 0", "value=0"),
        (
            "vector(0) / 0",
            [],
            "UNKNOWN - value is nan; if that is normal, write (QUERY) >= 0 or",
            "",
        ),
        ("(vector(0) / 0) >= 0 or vector(0)", [], "OK - URL answers in #T, value 0", "value=0"),
        ("vector(1) / 0", [], "UNKNOWN - value is inf; if that is normal", ""),
        (P95, [], "UNKNOWN - value: the query finds no data", ""),
        ("up[5m]", [], "UNKNOWN - the query returns a matrix; make it an instant vector", ""),
        ("'x'", [], "UNKNOWN - the query returns a string; make it an instant vector", ""),
        ("1 +", [], "UNKNOWN - the query is wrong: invalid parameter", ""),
        (
            '{__name__=~".+"}',
            [],
            "UNKNOWN - value: the query returns # values; aggregate them: max(...)",
            "",
        ),
    ],
)
def test_queries(
    asked: Command, url: str, query: str, flags: list[str], text: str, perfdata: str
) -> None:
    ran = asked("--query", query, *flags)
    found, _, graph = ran.line.partition(" | ")
    wanted = text.replace("URL", url).replace("HOST", url.removeprefix("http://"))
    assert found.removeprefix("PROMETHEUS ") == StartsLike(wanted)
    if perfdata:
        assert graph == Like(f"latency=#s;;;0 {perfdata}")


class StartsLike(Like):
    """Equal to each line that begins like the template."""

    def __init__(self, template: str) -> None:
        super().__init__(template)
        self.pattern += ".*"


def test_query_in_a_file(asked: Command, tmp_path: Path) -> None:
    (tmp_path / "query").write_text("vector(2) % 5\n")
    assert " value 2 | " in asked("--query", f"@{tmp_path}/query").line


def test_nothing_to_ask(asked: Command) -> None:
    assert asked().line == (
        "PROMETHEUS UNKNOWN - no query; give one with --query or PROBE_PROMETHEUS_QUERY"
    )


@pytest.mark.parametrize(
    ("status", "body", "state", "text"),
    [
        (200, {"status": "success"}, 3, "not an answer of Prometheus: data is missing or null"),
        (200, {"data": {"resultType": "vector", "result": [{"metric": {}}]}}, 3, "not an answer"),
        (200, {"data": {"resultType": "scalar", "result": [1, 2]}}, 3, "not an answer of Prometh"),
        (200, {"data": {"resultType": "scalar", "result": []}}, 3, "not an answer of Prometheus"),
        (200, "<html>", 3, "not an answer of Prometheus: is not JSON but of unknown type"),
        (401, "", 3, "Prometheus answers 401 Unauthorized; set PROMETHEUS_TOKEN, or the password"),
        (503, "", 2, "Prometheus answers 503 Service Unavailable"),
        (422, {"error": "too many samples"}, 3, "the query is wrong: too many samples"),
    ],
)
def test_no_such_answer(probe: Command, status: int, body: object, state: int, text: str) -> None:
    with listening(saying(status, body)) as port:
        ran = probe("--query", "up", "--url", f"http://127.0.0.1:{port}")
    assert ran.status == state
    assert ran.line.partition(" - ")[2].startswith(text)
