"""Sends runs to an OpenTelemetry collector, as spans or as log records: hcrun[otel].

The ids of a span are those of its run: the UUID is the trace, its first half the span. So a command
that gets TRACEPARENT from hcrun can send its own spans before that of its run, and nothing has to
be kept.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from hcrun.journal import exported
from hcrun.journal.database import Database
from hcrun.journal.message import fit
from hcrun.journal.run import Run
from hcrun.metrics import otlp
from hcrun.results import BAD, GOOD
from hcrun.settings import Settings

_LARGEST = 65536  # bytes of an output, as most collectors' back ends allow


def export(signal: str, database: Database, url: str, settings: Settings, now: float) -> int:
    """Send the runs that ended since the last export, at first those of an hour.

    `signal` is one of SIGNALS. Returns how many. Raises HcrunError; what the collector has accepted
    is not sent again.
    """
    kind, sent = SIGNALS[signal], 0
    address = otlp.endpoint(url, f"/v1/{signal}", f"--{signal}")
    while runs := exported.ended_since(database, signal, now):
        otlp.send(kind.request(runs), kind.reply, address, settings)
        exported.save(database, signal, runs[-1])
        sent += len(runs)
    return sent


def spans(runs: Iterable[Run]) -> ExportTraceServiceRequest:
    """A span for each run."""
    message = ExportTraceServiceRequest()
    scope = _scope(message.resource_spans.add(), "scope_spans")
    for run in runs:
        span = scope.spans.add(
            **_ids(run),
            name=f"hcrun {run.check}",
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=int(run.started * 1e9),
            end_time_unix_nano=int(max(run.ended or 0, run.started) * 1e9),
        )
        if run.result in (*GOOD, *BAD):
            span.status.code = (
                Status.STATUS_CODE_ERROR if run.result in BAD else Status.STATUS_CODE_OK
            )
        span.status.message = run.why if run.result in BAD else ""
        _describe(run, span)
    return message


def records(runs: Iterable[Run]) -> ExportLogsServiceRequest:
    """A record for each run: its output, as its ping has it."""
    message = ExportLogsServiceRequest()
    scope = _scope(message.resource_logs.add(), "scope_logs")
    for run in runs:
        at = int((run.ended or run.started) * 1e9)
        record = scope.log_records.add(**_ids(run), time_unix_nano=at, observed_time_unix_nano=at)
        is_bad = run.result in BAD
        record.severity_text = "ERROR" if is_bad else "INFO"
        record.severity_number = (
            SeverityNumber.SEVERITY_NUMBER_ERROR if is_bad else SeverityNumber.SEVERITY_NUMBER_INFO
        )
        record.body.string_value = fit(run.excerpt, _LARGEST) or run.why
        _describe(run, record)
    return message


class Signal(NamedTuple):
    request: Callable[[Iterable[Run]], Any]
    reply: Any


SIGNALS = {
    "traces": Signal(spans, ExportTraceServiceResponse),
    "logs": Signal(records, ExportLogsServiceResponse),
}


def _scope(resource: Any, name: str) -> Any:
    otlp.describe(resource.resource)
    scope = getattr(resource, name).add()
    scope.scope.name = "hcrun"
    return scope


def _ids(run: Run) -> dict[str, bytes]:
    trace = bytes.fromhex(run.run_id.replace("-", ""))
    return {"trace_id": trace, "span_id": trace[:8]}


def _describe(run: Run, target: Any) -> None:
    """Add the attributes of a run to a span or a record."""
    for name, value in (
        ("hcrun.check", run.check),
        ("hcrun.result", run.result),
        ("hcrun.why", run.why),
        ("hcrun.rid", run.run_id),
        ("process.command_line", run.command),
        ("process.owner", run.user),
    ):
        target.attributes.add(key=name).value.string_value = value
    target.attributes.add(key="process.exit.code").value.int_value = run.status
