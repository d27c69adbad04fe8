"""Sends metrics to an OpenTelemetry collector, by OTLP over HTTP in protobuf: hcrun[otel]."""

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client import Metric

from hcrun import __version__
from hcrun.errors import HcrunError, SettingsError, UsageError
from hcrun.settings import Settings

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_PATH = "/v1/metrics"
_UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1"}  # as UCUM has them
_LARGEST = 65536  # bytes of an answer


def export(
    families: Iterable[Metric], url: str, settings: Settings, now: float, since: float
) -> None:
    """Send all families; counters were 0 at `since`. Raises HcrunError unless all are accepted."""
    address = endpoint(url, _PATH, "--otlp")
    send(request(families, now, since), ExportMetricsServiceResponse, address, settings)


def send(message: Any, answer_type: Any, address: str, settings: Settings) -> None:
    """Post the message. Raises HcrunError unless all of it is accepted."""
    where = urlsplit(address).netloc.rpartition("@")[2]
    try:
        with requests.post(
            address,
            message.SerializeToString(),
            headers={
                "Content-Type": "application/x-protobuf",
                "User-Agent": f"hcrun/{__version__}",
                **_headers(settings.secret(HEADERS)),
            },
            timeout=10.0,
            allow_redirects=False,
            stream=True,
        ) as reply:
            status, answer = reply.status_code, reply.raw.read(_LARGEST, decode_content=True)
    except (requests.RequestException, OSError) as error:
        reason = "timed out" if isinstance(error, requests.Timeout) else "cannot connect"
        raise HcrunError(f"{reason}; nothing was exported", where=where) from None
    if status != 200:
        hint = f"check {HEADERS}" if status in (401, 403) else "see the collector's log"
        raise HcrunError(f"the collector answered {status}", where=where, hint=hint)
    _check_all_accepted(answer_type(), answer, where)


def endpoint(url: str, path: str, option: str) -> str:
    """The URL, with OTLP's own path unless it has one. Raises UsageError."""
    parts = urlsplit(url)
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"{option} needs a URL", hint="write it like http://127.0.0.1:4318")
    path = parts.path if parts.path.strip("/") else path
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def describe(resource: Any) -> None:
    """Say what sends: hcrun on this host."""
    for key, value in (
        ("service.name", "hcrun"),
        ("service.version", __version__),
        ("host.name", os.uname().nodename),
    ):
        resource.attributes.add(key=key).value.string_value = value


def request(families: Iterable[Metric], now: float, since: float) -> ExportMetricsServiceRequest:
    at, start = int(now * 1e9), int(since * 1e9)
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    describe(resource.resource)
    scope = resource.scope_metrics.add()
    scope.scope.name = "hcrun"
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
        metric = scope.metrics.add(name=name, description=family.documentation, unit=unit)
        data: Any = metric.gauge
        if family.type == "counter":
            data = metric.sum
            data.is_monotonic = True
            data.aggregation_temporality = 2  # CUMULATIVE
        for sample in family.samples:
            point = data.data_points.add(time_unix_nano=at, as_double=sample.value)
            if family.type == "counter":
                point.start_time_unix_nano = start
            for label, value in sample.labels.items():
                point.attributes.add(key=label).value.string_value = value
    return message


def _check_all_accepted(reply: Any, answer: bytes, where: str) -> None:
    try:
        reply.ParseFromString(answer)
    except DecodeError:  # JSON, or a proxy's 200: accepted
        return
    partial = reply.partial_success
    for name in ("data_points", "spans", "log_records"):
        if rejected := getattr(partial, f"rejected_{name}", 0):
            what = f"{rejected} {name.replace('_', ' ')}: {partial.error_message}"
            raise HcrunError(f"the collector rejected {what}", where=where)


def _headers(text: str) -> dict[str, str]:
    """Parse `name=value,name2=value2`, percent-encoded, as OpenTelemetry's exporters do."""
    headers = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not equals or not name or not (name + value).isprintable() or not value.isascii():
            raise SettingsError(
                "not NAME=VALUE", where=HEADERS, hint="write it like authorization=Bearer%20..."
            )
        headers[name] = value
    return headers
