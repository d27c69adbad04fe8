"""Sends runs as spans to an OpenTelemetry collector, by OTLP over HTTP in protobuf: hcrun[otel].

The ids of a span are those of its run: the UUID is the trace, its first half the span. So a command
that gets TRACEPARENT from hcrun can send its own spans before that of its run, and nothing has to
be kept.
"""

from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from hcrun.journal import exported
from hcrun.journal.database import Database
from hcrun.journal.run import Run
from hcrun.metrics import otlp
from hcrun.results import BAD, GOOD
from hcrun.settings import Settings

PATH = "/v1/traces"


def export(database: Database, url: str, settings: Settings, now: float) -> int:
    """Send the runs that ended since the last export, at first those of an hour.

    Returns how many. Raises HcrunError; what the collector has accepted is not sent again.
    """
    address, sent = otlp.endpoint(url, PATH, "--traces"), 0
    while runs := exported.ended_since(database, now):
        otlp.send(request(runs), ExportTraceServiceResponse, address, settings)
        exported.save(database, runs[-1])
        sent += len(runs)
    return sent


def request(runs: Iterable[Run]) -> ExportTraceServiceRequest:
    """A span for each run."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    otlp.describe(resource.resource)
    scope = resource.scope_spans.add()
    scope.scope.name = "hcrun"
    for run in runs:
        trace = bytes.fromhex(run.run_id.replace("-", ""))
        ended = run.ended or run.started
        span = scope.spans.add(
            trace_id=trace,
            span_id=trace[:8],
            name=f"hcrun {run.check}",
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=int(run.started * 1e9),
            end_time_unix_nano=int(max(ended, run.started) * 1e9),
        )
        if run.result in (*GOOD, *BAD):
            span.status.code = (
                Status.STATUS_CODE_ERROR if run.result in BAD else Status.STATUS_CODE_OK
            )
        span.status.message = run.why if run.result in BAD else ""
        for name, value in (
            ("hcrun.check", run.check),
            ("hcrun.result", run.result),
            ("hcrun.why", run.why),
            ("hcrun.rid", run.run_id),
            ("process.command_line", run.command),
            ("process.owner", run.user),
        ):
            span.attributes.add(key=name).value.string_value = value
        span.attributes.add(key="process.exit.code").value.int_value = run.status
    return message
