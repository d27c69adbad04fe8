#!/usr/bin/env python3
"""An HTTP API: is it healthy, is it fast, do its critical endpoints answer?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from hcrun.reports.statistics import percentile
from hcrun.text import counted
from hcrun.units import volume
from probes.clients import http as web
from probes.clients.endpoints import (
    Endpoint,
    Field,
    endpoint_type,
    field_type,
    host_type,
    path_type,
)
from probes.framework.options import Url
from probes.framework.probe import Context, CriticalError, Probe, Ranges
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, show, state_reading

ENOUGH = 1.0  # seconds after which an endpoint without an answer is CRITICAL
CREDENTIALS = "API_TOKEN, or the password in API_URL"


class Series(NamedTuple):
    """The results of many requests for the same path."""

    seconds: Sequence[float]  # of the successful ones
    failures: Sequence[str]  # the reasons of the others


def check_http(context: Context) -> None:
    options = context.options
    url = options["url"] or f"http://127.0.0.1:{options['port']}"
    context.at(url.rstrip("/") + options["path"].partition("?")[0])
    token = web.secret(context, "API_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else web.basic(context)
    with web.Site(
        context, url, headers, cafile=options["tls_ca"], host=options["host_header"]
    ) as site:
        is_healthy = _check_health(site, context, given=bool(headers))
        _check_endpoints(site, context, given=bool(headers))
        if is_healthy and options["requests"] > 1:
            context.add(*evaluate_series(_repeat(site, context), context.ranges))


def _check_health(site: web.Site, context: Context, *, given: bool) -> bool:
    """True if it is healthy."""
    answer = site.get(context.options["path"])
    context.answered(answer.seconds)
    health = evaluate_health(answer, context.options["field"], given=given)
    context.add(health, *site.certificate())
    return health.status is Status.OK


def _check_endpoints(site: web.Site, context: Context, *, given: bool) -> None:
    endpoints: Sequence[Endpoint] = context.options["endpoint"]
    good = 0
    for others, endpoint in zip(reversed(range(len(endpoints))), endpoints, strict=True):
        share = 0.0
        try:
            left = context.deadline.left()
            share = max(left - ENOUGH * others, left / (1 + others))
            answer = site.get(endpoint.path, share)
        except TimeoutError:
            reading = _no_answer(endpoint, share)
        except CriticalError as error:
            text = f"{endpoint.name}: {error.what}"
            reading = state_reading(endpoint.name, Status.CRITICAL, text)
        else:
            reading = evaluate_endpoint(endpoint, answer, context.ranges, given=given)
        good += reading.status is Status.OK
        context.add(reading)
    if good:
        text = f"{good} of {counted(len(endpoints), 'endpoint')} as expected"
        context.add(state_reading("endpoints", Status.OK, text))


def _no_answer(endpoint: Endpoint, seconds: float) -> Reading:
    """CRITICAL, unless there was too little time to answer."""
    text = f"no answer from {endpoint.name} within {show(seconds, 's')}"
    if seconds < ENOUGH:
        return state_reading(endpoint.name, Status.UNKNOWN, text, "raise --timeout")
    return state_reading(endpoint.name, Status.CRITICAL, text)


def _repeat(site: web.Site, context: Context) -> Series:
    """Send the requests, but none for which the time may not suffice."""
    seconds: list[float] = []
    failures: list[str] = []
    try:
        while len(seconds) + len(failures) < context.options["requests"]:
            if context.deadline.left() < 2 * max(seconds, default=0):
                break
            try:
                answer = site.get(context.options["path"])
            except CriticalError as error:
                failures.append(error.what)
                continue
            if answer.status == 200:
                seconds.append(answer.seconds)
            else:
                failures.append(f"answers {answer.phrase}")
    except TimeoutError:
        failures.append("no answer in time")
    return Series(seconds, failures)


def evaluate_health(answer: web.Answer, field: Field | None, *, given: bool) -> Reading:
    """Evaluate the answer of the health page. `given`: credentials were sent."""
    value = text = problem = ""
    if field:
        try:
            data = answer.json()
            value = field.value_in(data)
            text = f"{field.name} is {value[:60]}"
            if isinstance(version := data.get("version"), str):
                text += f", version {version[:60]}"
        except ValueError as error:
            problem = f"the answer {error}"
    if answer.status != 200:
        refusal = web.refused(answer, "the health page", CREDENTIALS, given=given)
        return refusal.reading("health", f", {text}" if text else "")
    if problem:
        hint = "if that is right, add --field off"
        return state_reading("health", Status.CRITICAL, problem, hint)
    if field and value.lower() not in field.values:
        text += f", not {' or '.join(field.values)}"
        return state_reading("health", Status.CRITICAL, text)
    return state_reading("health", Status.OK, text)


def evaluate_endpoint(
    endpoint: Endpoint, answer: web.Answer, ranges: Ranges, *, given: bool
) -> Reading:
    """Evaluate status and latency. Most of OK has no text: there may be many endpoints."""
    name = endpoint.name
    if not endpoint.accepts(answer.status):
        more = f", not {endpoint.status}" if endpoint.status else ""
        return web.refused(answer, name, CREDENTIALS, given=given).reading(name, more)
    text = f"{name} answers in {show(answer.seconds, 's')}"
    if answer.is_cut:
        text += f" for its first {volume(len(answer.body))}"
    warning, critical = ranges["latency"]
    limits = (endpoint.ranges.get("warning", warning), endpoint.ranges.get("critical", critical))
    reading = Reading(name, answer.seconds, "s", text, *limits, minimum=0)
    if reading.status:
        return reading
    is_odd = endpoint.status is None and answer.status >= 300
    return replace(reading, text=f"{name} answers {answer.phrase}" if is_odd else "")


def evaluate_series(series: Series, ranges: Ranges) -> Iterator[Reading]:
    """The 95th percentile, by nearest rank, and the share of failures."""
    asked = len(series.seconds) + len(series.failures)
    if len(series.seconds) > 1:
        p95 = percentile(sorted(series.seconds), 95) or 0.0
        text = f"p95 {show(p95, 's')} of {len(series.seconds)} requests"
        yield Reading("p95", p95, "s", text, *ranges["p95"], minimum=0)
    if asked:
        failed = len(series.failures)
        share = 100 * failed / asked
        text = ""
        if failed:
            text = f"{failed} of {counted(asked, 'request')} failed: {series.failures[-1]}"
        yield Reading("errors", share, "%", text, *ranges["errors"], minimum=0, maximum=100)


URL = Url("API_URL", "https://user:password@host:port", web.split_url)
TYPES = {
    "--url": web.base_url,
    "--host-header": host_type,
    "--path": path_type,
    "--field": field_type,
    "--endpoint": endpoint_type,
}
PROBE = Probe("http", table("http", types=TYPES), check_http, url=URL)

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
