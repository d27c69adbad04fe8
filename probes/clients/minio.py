"""MinIO's own paths: the health of a server and of its cluster, and the metrics."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator, Mapping

from hcrun.text import counted
from hcrun.units import volume
from probes.clients import http
from probes.clients.s3 import Storage
from probes.framework.probe import Context, Ranges
from probes.framework.verdict import Reading, Status, state_reading

LIVE = "/minio/health/live"
CLUSTER = "/minio/health/cluster"
METRICS = "/minio/v2/metrics/cluster"

# What is offline: the reading, what it counts, and the names of its metrics, of old servers too.
OFFLINE = (("drives_offline", "drive", ("drive", "disk")), ("nodes_offline", "node", ("nodes",)))


HINT = "S3_ENDPOINT_URL has no bucket in it; if it is not MinIO, add --plain-s3"


def check_cluster(server: Storage, context: Context) -> None:
    answer = server.get(LIVE)
    server.answered(answer)
    live = evaluate_live(answer)
    context.add(live)
    if live.status:
        return
    quorum = evaluate_quorum(server.get(CLUSTER))
    context.add(quorum)
    wants_usage = any(context.ranges["usage"]) and not context.options["quota"]
    wants_drives = any(any(context.ranges[label]) for label, *_ in OFFLINE)
    if not quorum.status and (wants_usage or wants_drives):
        token = http.secret(context, "MINIO_METRICS_TOKEN")
        if not token and server.is_signed:
            token = metrics_token(server.key, server.secret, time.time())
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        metrics = server.get(METRICS, headers=headers)
        context.add(*evaluate_metrics(metrics, context.ranges, wants_usage=wants_usage))


def metrics_token(key: str, secret: str, now: float) -> str:
    """A JSON Web Token for MinIO's metrics, like the one of mc, valid for ten minutes."""

    def encode(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    claims = {"exp": int(now) + 600, "sub": key, "iss": "prometheus"}
    parts = [encode(json.dumps(part).encode()) for part in ({"alg": "HS512", "typ": "JWT"}, claims)]
    signature = hmac.new(secret.encode(), b".".join(parts), hashlib.sha512).digest()
    return b".".join([*parts, encode(signature)]).decode()


def evaluate_live(answer: http.Answer) -> Reading:
    """Check status and header, because `live` is 200 while the server is offline."""
    return _fault("live", LIVE, answer) or state_reading("live", Status.OK, "")


def evaluate_quorum(answer: http.Answer) -> Reading:
    """Check that enough drives are online to write."""
    headers = answer.headers
    quorum, healing = headers.get("x-minio-write-quorum"), headers.get("x-minio-healing-drives")
    more = f", healing drives: {healing}" if healing else ""
    if answer.status == 503 and "x-minio-server-status" not in headers:
        text = f"no write quorum{f' of {quorum} drives' if quorum else ''}{more}"
        return state_reading("quorum", Status.CRITICAL, text, "see mc admin info ALIAS")
    if fault := _fault("quorum", CLUSTER, answer):
        return fault
    if not quorum and not re.match(r"MinIO(/|$)", headers.get("server") or ""):
        text = f"{CLUSTER} is not the answer of MinIO"
        hint = "check S3_ENDPOINT_URL: the port of the console is another one"
        return state_reading("quorum", Status.UNKNOWN, text, hint)
    return state_reading("quorum", Status.OK, f"write quorum{more}")


def _fault(label: str, path: str, answer: http.Answer) -> Reading | None:
    """A reading for a bad answer to a health check; None for a good one."""
    state = answer.headers.get("x-minio-server-status", "online")
    if state != "online":
        return state_reading(label, Status.CRITICAL, f"MinIO reports that it is {state}")
    text = f"{path} answers {answer.status}"
    if answer.status >= 500 or answer.status == 429:  # 429: more requests than it can take
        return state_reading(label, Status.CRITICAL, text, "see the server's log")
    if answer.status != 200:
        return state_reading(label, Status.UNKNOWN, text, HINT)
    return None


def evaluate_metrics(
    answer: http.Answer, ranges: Ranges, *, wants_usage: bool
) -> Iterator[Reading]:
    """What is offline, and used space in per cent of the usable capacity."""
    if answer.status != 200:
        text, hint = f"{METRICS} answers {answer.status}", ""
        if answer.status in (401, 403):
            text = "MinIO's metrics are forbidden"
            hint = (
                "set MINIO_METRICS_TOKEN to the bearer_token of: mc admin prometheus generate ALIAS"
            )
        status = Status.UNKNOWN if wants_usage else Status.OK
        yield state_reading("metrics", status, f"{text}: drives are not checked", hint)
        return
    values = _values(answer.body.decode(errors="replace"))
    for label, what, names in OFFLINE:
        yield _offline(label, what, names, values, ranges)
    if wants_usage:
        yield _used(values, ranges)


def _offline(
    label: str, what: str, names: tuple[str, ...], values: Mapping[str, float], ranges: Ranges
) -> Reading:
    for name in names:
        try:
            offline, online = (values[f"{name}_{state}_total"] for state in ("offline", "online"))
        except KeyError:
            continue
        total = offline + online
        text = f"{offline:.0f} of {counted(round(total), what)} offline" if offline else ""
        hint = "see mc admin info ALIAS"
        return Reading(label, offline, "", text, *ranges[label], 0, maximum=total, hint=hint)
    return state_reading(label, Status.OK, f"MinIO's metrics have no number of {what}s offline")


def _used(values: Mapping[str, float], ranges: Ranges) -> Reading:
    try:
        total, free = (values[f"capacity_usable_{name}_bytes"] for name in ("total", "free"))
        share = 100 * (total - free) / total
    except (KeyError, ZeroDivisionError):
        return state_reading("usage", Status.UNKNOWN, f"{METRICS} has no usable capacity")
    text = f"{share:.0f}% of {volume(total)} used"
    return Reading("usage", share, "%", text, *ranges["usage"], minimum=0, maximum=100)


def _values(metrics: str) -> dict[str, float]:
    """The cluster's values that are read, by name without prefix; {} for what is no metrics."""
    from prometheus_client.parser import text_string_to_metric_families  # few runs need it

    prefix = "minio_cluster_"
    read = re.compile(f"{prefix}(capacity_usable|drive|disk|nodes)_")
    lines = (f"{line}\n" for line in metrics.splitlines() if read.match(line))
    try:
        families = list(text_string_to_metric_families("".join(lines)))
    except ValueError:
        return {}
    samples = [sample for family in families for sample in family.samples]
    return {sample.name.removeprefix(prefix): sample.value for sample in samples}
