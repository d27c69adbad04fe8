"""Figures -> an OpenTelemetry collector, by OTLP over HTTP in protobuf.

Needs hcrun[otel], which has the messages (opentelemetry-proto); the request is ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from hcrun import __version__
from hcrun.errors import HcrunError, SettingsError, UsageError
from hcrun.metrics.prometheus import Family
from hcrun.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
    )

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_PATH = "/v1/metrics"
_UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1"}  # as UCUM has them
_LARGEST = 65536  # bytes of an answer


def export(families: Iterable[Family], url: str, settings: Settings, now: float) -> None:
    """Send all of it, once: the next export has it all again.

    Raises HcrunError when it was not taken, or only a part of it.
    """
    import requests  # twelve bare interpreter starts, which the other formats do without

    address = endpoint(url)
    where = urlsplit(address).netloc.rpartition("@")[2]
    message = request(families, now)
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
        words = "did not answer in time" if isinstance(error, requests.Timeout) else "no connection"
        raise HcrunError(f"the collector cannot be reached: {words}", where=where) from None
    if status != 200:
        hint = f"look at {HEADERS}" if status in (401, 403) else "see the collector's log"
        raise HcrunError(f"the collector answered {status}", where=where, hint=hint)
    _check_all_taken(answer, where)


def endpoint(url: str) -> str:
    """Where metrics go: the path is OTLP's own unless the URL has one. Raises UsageError."""
    parts = urlsplit(url)
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError("--otlp needs a URL", hint="write it like http://127.0.0.1:4318")
    path = parts.path if parts.path.strip("/") else _PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def request(families: Iterable[Family], now: float) -> ExportMetricsServiceRequest:
    """The message. Counters are sums since a time that is not known (0), as OTLP allows."""
    messages = _messages()
    message: ExportMetricsServiceRequest = messages.ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    for key, value in (
        ("service.name", "hcrun"),
        ("service.version", __version__),
        ("host.name", os.uname().nodename),
    ):
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_metrics.add()
    scope.scope.name = "hcrun"
    for family in families:
        if not family.samples:
            continue
        unit = next((unit for end, unit in _UNITS.items() if family.name.endswith(end)), "")
        metric = scope.metrics.add(name=family.name, description=family.help, unit=unit)
        data: Any = metric.gauge
        if family.kind == "counter":
            data = metric.sum
            data.is_monotonic = True
            data.aggregation_temporality = 2  # CUMULATIVE
        for sample in family.samples:
            point = data.data_points.add(time_unix_nano=int(now * 1e9), as_double=sample.value)
            for name, value in sample.labels.items():
                point.attributes.add(key=name).value.string_value = value
    return message


def _check_all_taken(answer: bytes, where: str) -> None:
    from google.protobuf.message import DecodeError

    reply = _messages().ExportMetricsServiceResponse()
    try:
        reply.ParseFromString(answer)
    except DecodeError:  # some proxy's 200, or JSON: it was taken
        return
    if rejected := reply.partial_success.rejected_data_points:
        why = reply.partial_success.error_message
        raise HcrunError(f"the collector rejected {rejected} data points: {why}", where=where)


def _headers(text: str) -> dict[str, str]:
    """`name=value,name2=value2`, percent-encoded, as OpenTelemetry's own exporters read it."""
    headers = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not equals or not name or not (name + value).isprintable() or not value.isascii():
            raise SettingsError(
                "is not NAME=VALUE", where=HEADERS, hint="write it like authorization=Bearer%20..."
            )
        headers[name] = value
    return headers


def _messages() -> Any:
    try:
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
    except ImportError:
        raise HcrunError(
            "--otlp needs opentelemetry-proto", hint="pip install 'hcrun[otel]'"
        ) from None
    return metrics_service_pb2
