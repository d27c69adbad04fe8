#!/usr/bin/env python3
"""A number from one PromQL query: the error ratio or p95 of an API, the length of a queue."""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from hcrun.formats.members import Members
from hcrun.text import counted, printable
from probes.clients import http as web
from probes.framework.options import Url
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, show, state_reading

CREDENTIALS = "PROMETHEUS_TOKEN, or the password in PROMETHEUS_URL"
MOST = 20  # series


class Series(NamedTuple):
    labels: str  # such as "job=api,path=/login"
    value: float  # may be NaN or infinite


def check_prometheus(context: Context) -> None:
    options = context.options
    url = options["url"].rstrip("/")
    context.at(url)
    if not options["query"]:
        raise UnknownError("no query", hint="give one with --query or PROBE_PROMETHEUS_QUERY")
    token = web.secret(context, "PROMETHEUS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else web.basic(context)
    parameters = {"query": options["query"], "timeout": f"{context.deadline.left() * 1000:.0f}ms"}
    with web.Site(context, url, headers, cafile=options["tls_ca"]) as site:
        answer = site.get(f"/api/v1/query?{urlencode(parameters, quote_via=quote)}")
        site.answered(answer)
    context.add(*evaluate(_series(answer, headers), options["name"], context.ranges))


def _series(answer: web.Answer, headers: dict[str, str]) -> Sequence[Series]:
    if answer.status in (400, 422):  # 422: it cannot be executed
        raise UnknownError(f"the query is wrong: {_error(answer)}")
    if answer.status != 200:
        raise web.refused(answer, "Prometheus", CREDENTIALS, given=bool(headers))
    try:
        data = Members(Members(answer.json(), "").object("data"), "data.")
        kind = data.choice("resultType", ("scalar", "vector", "matrix", "string"))
        if kind == "scalar":
            return [Series("", _number(data.each("result")[1][0]))]
        if kind != "vector":
            raise UnknownError(f"the query returns a {kind}", hint="make it an instant vector")
        found = [Members(*each) for each in data.each("result")]
        return [
            Series(_labels(each.object("metric")), _number(each.each("value")[1][0]))
            for each in found
        ]
    except (ValueError, IndexError) as error:
        raise UnknownError(f"not an answer of Prometheus: {error}") from None


def _error(answer: web.Answer) -> str:
    try:
        return Members(answer.json(), "").text("error")
    except ValueError:
        return answer.phrase


def _number(value: Any) -> float:
    if not isinstance(value, str):
        raise ValueError("a value is no number in a string")
    return float(value)


def _labels(metric: dict[str, Any]) -> str:
    pairs = (f"{name}={value}" for name, value in sorted(metric.items()) if name != "__name__")
    return printable(",".join(pairs))[:100]


def evaluate(series: Sequence[Series], name: str, ranges: Ranges) -> Iterator[Reading]:
    """A reading for each series. One of several that is OK has no text."""
    if not series:
        hint = "check the metric's name; if no data is normal, add: or vector(0)"
        yield state_reading(name, Status.UNKNOWN, f"{name}: the query finds no data", hint)
    if len(series) > MOST:
        text = f"{name}: the query returns {counted(len(series), 'value')}"
        yield state_reading(name, Status.UNKNOWN, text, "aggregate them: max(...) or topk(5, ...)")
        return
    if len(series) > 1:
        yield state_reading("values", Status.OK, counted(len(series), "value"))
    for labels, value in series:
        label = f"{name} {labels}".rstrip()
        text = "" if len(series) > 1 else f"{label} {show(value, '')}"
        reading = Reading(label, value, "", text, *ranges["value"])
        if reading.value is None:
            hint = "if that is normal, write (QUERY) >= 0 or vector(0)"
            reading = state_reading(label, Status.UNKNOWN, f"{label} is {value}", hint)
        yield reading


URL = Url("PROMETHEUS_URL", "https://user:password@host:port", web.split_url)
TABLE = table("prometheus", types={"--url": web.base_url})
PROBE = Probe("prometheus", TABLE, check_prometheus, url=URL)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
