#!/usr/bin/env python3
"""MinIO: is it up, can it be written to, has it room, is the bucket there?

The defaults, and why:
- live and write quorum: always looked at. MinIO answers `live` with 200 even while it is offline
  and says so in a header, so both count.
- latency 500 ms, 1 s: the answer to `live`, which touches no drive.
- usage 80%, 90%: of the usable capacity that its metrics tell, or of --quota for one bucket, whose
  objects are then counted, up to --max-objects and for --max-listing.
- canary 1 s, 5 s: to put, get and delete one small object; only with --canary, as it writes.
Metrics want a token. `mc admin prometheus generate` makes one from the keys of an administrator;
where S3_ACCESS_KEY_ID has that right, the probe makes it itself in the same way. Where neither
is at hand usage is UNKNOWN, unless both its thresholds are off.
Another S3 server (--plain-s3) has no such paths: there, the bucket alone is looked at.
"""

from __future__ import annotations

if __name__ == "__main__":  # run as a file or with -m: hcrun lies beside this directory
    import os
    import sys

    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn
from xml.sax.saxutils import unescape

import click

from hcrun.units import size, volume
from probes.clients import http as web
from probes.clients.s3 import LARGEST, Storage, error_code
from probes.framework.options import FILE, Threshold, duration, option
from probes.framework.probe import LATENCY, Context, Probe, Ranges, UnknownError
from probes.framework.verdict import Reading, Status, count, state_reading

LIVE = "/minio/health/live"
CLUSTER = "/minio/health/cluster"
METRICS = "/minio/v2/metrics/cluster"


def check_minio(context: Context) -> None:
    options = context.options
    if (options["quota"] or options["canary"]) and not options["bucket"]:
        raise UnknownError("--quota and --canary are about a bucket", hint="set S3_BUCKET_NAME")
    if options["plain_s3"] and not options["bucket"]:
        raise UnknownError("--plain-s3 looks at nothing but a bucket", hint="set S3_BUCKET_NAME")
    with Storage(context) as server:
        if not options["plain_s3"]:
            _look_at_cluster(server, context)
        if options["bucket"]:
            _look_at_bucket(server, options["bucket"], context)


def _look_at_cluster(server: Storage, context: Context) -> None:
    answer = server.get(LIVE)
    context.answered(answer.seconds)
    live = evaluate_live(answer)
    context.add(live)
    if live.status:
        return
    quorum = evaluate_quorum(server.get(CLUSTER))
    context.add(quorum)
    if not quorum.status and any(context.ranges["usage"]) and not context.options["quota"]:
        token = web.secret(context, "MINIO_METRICS_TOKEN")
        if not token and server.is_signed:
            token = metrics_token(server.key, server.secret, time.time())
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = server.get(METRICS, cap=LARGEST, headers=headers)
        context.add(evaluate_metrics(answer, context.ranges))


def _look_at_bucket(server: Storage, bucket: str, context: Context) -> None:
    first = server.s3("GET", f"/{bucket}", {"list-type": 2, "max-keys": 1})
    if context.options["plain_s3"]:
        context.answered(first.seconds)
    state = evaluate_bucket(bucket, first, signed=server.is_signed)
    context.add(state)
    if not state.status and context.options["quota"]:
        context.add(_usage(server, bucket, context))
    if state.status is not Status.CRITICAL and context.options["canary"]:
        context.add(*_canary(server, bucket, context))


def metrics_token(key: str, secret: str, now: float) -> str:
    """A token for MinIO's metrics, a JSON Web Token like mc's, but only good for ten minutes."""

    def encode(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    claims = {"exp": int(now) + 600, "sub": key, "iss": "prometheus"}
    parts = [encode(json.dumps(part).encode()) for part in ({"alg": "HS512", "typ": "JWT"}, claims)]
    signature = hmac.new(secret.encode(), b".".join(parts), hashlib.sha512).digest()
    return b".".join([*parts, encode(signature)]).decode()


def evaluate_live(answer: web.Answer) -> Reading:
    """Both the code and the header count: `live` is 200 while the server is offline."""
    return _fault("live", LIVE, answer) or state_reading("live", Status.OK, "")


def evaluate_quorum(answer: web.Answer) -> Reading:
    """Whether enough drives are online to write."""
    headers = answer.headers
    quorum, healing = headers.get("x-minio-write-quorum"), headers.get("x-minio-healing-drives")
    more = f", drives that are healing: {healing}" if healing else ""
    if answer.status == 503 and "x-minio-server-status" not in headers:
        text = f"no write quorum{f' of {quorum} drives' if quorum else ''}{more}"
        return state_reading("quorum", Status.CRITICAL, text, "see the drives in mc admin info")
    if fault := _fault("quorum", CLUSTER, answer):
        return fault
    if not quorum and not re.match(r"MinIO(/|$)", headers.get("server") or ""):
        text = f"{CLUSTER} does not answer as MinIO does"
        return state_reading("quorum", Status.UNKNOWN, text, "is that the port of its console?")
    return state_reading("quorum", Status.OK, f"write quorum{more}")


def _fault(label: str, path: str, answer: web.Answer) -> Reading | None:
    """What is wrong about the answer to a health check."""
    state = answer.headers.get("x-minio-server-status", "online")
    if state != "online":
        return state_reading(label, Status.CRITICAL, f"MinIO says that it is {state}")
    text = f"{path} answers {answer.status}"
    if answer.status >= 500 or answer.status == 429:  # 429: more requests than it can take
        return state_reading(label, Status.CRITICAL, text, "see the server's log")
    if answer.status != 200:
        return state_reading(label, Status.UNKNOWN, text, "where it is not MinIO, use --plain-s3")
    return None


def evaluate_metrics(answer: web.Answer, ranges: Ranges) -> Reading:
    """Used of the usable capacity, in per cent."""
    if answer.status in (401, 403):
        hint = "set MINIO_METRICS_TOKEN to what mc admin prometheus generate says"
        return state_reading("usage", Status.UNKNOWN, "MinIO does not show its metrics", hint)
    if answer.status != 200:
        return state_reading("usage", Status.UNKNOWN, f"{METRICS} answers {answer.status}")
    pattern = r"^minio_cluster_capacity_usable_(total|free)_bytes(?:\{.*\})? ([\d.e+]+)"
    found = dict(re.findall(pattern, answer.body.decode(errors="replace"), re.MULTILINE))
    try:
        total, free = float(found["total"]), float(found["free"])
        share = 100 * (total - free) / total
    except (KeyError, ValueError, ZeroDivisionError):
        return state_reading(
            "usage", Status.UNKNOWN, f"{METRICS} says nothing of the usable capacity"
        )
    text = f"{share:.0f}% of {volume(total)} used"
    return Reading("usage", share, "%", text, *ranges["usage"], minimum=0, maximum=100)


def evaluate_bucket(bucket: str, answer: web.Answer, *, signed: bool) -> Reading:
    """Whether the bucket is there, from the first page of its listing."""
    if answer.status == 200 and b"<ListBucketResult" in answer.body:
        return state_reading("bucket", Status.OK, f"bucket {bucket} is there")
    return _refusal("bucket", f"bucket {bucket}", answer, "s3:ListBucket", signed=signed)


def _refusal(label: str, what: str, answer: web.Answer, right: str, *, signed: bool) -> Reading:
    """An S3 error: CRITICAL when the server or the bucket is not there, UNKNOWN when it says no."""
    code = error_code(answer)
    keys = f"{'check' if signed else 'set'} S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"
    hint = {
        "": "is that an S3 server?",
        "NoSuchBucket": "create it, or check S3_BUCKET_NAME",
        "AccessDenied": f"allow {right}" if signed else keys,
        "InvalidAccessKeyId": keys,
        "SignatureDoesNotMatch": keys,
        "RequestTimeTooSkewed": "set the clock of this host",
        "AuthorizationHeaderMalformed": "check S3_REGION",
        "PermanentRedirect": "check S3_REGION",
    }.get(code, "")
    if answer.status >= 500:
        reason = code or f"the server answers {answer.status}"
        return state_reading(label, Status.CRITICAL, f"{what}: {reason}", "see the server's log")
    status = Status.CRITICAL if code == "NoSuchBucket" else Status.UNKNOWN
    reason = code or f"an answer {answer.status} that is none of S3"
    return state_reading(label, status, f"{what}: {reason}", hint)


def _usage(server: Storage, bucket: str, context: Context) -> Reading:
    """Count what is in the bucket, until there is no more, or enough."""
    options = context.options
    end = time.monotonic() + min(options["max_listing"], context.deadline.left() / 2)
    used = objects = 0
    token: dict[str, Any] = {}
    more = True
    while more and objects < options["max_objects"] and time.monotonic() < end:
        page = {"list-type": 2, "max-keys": min(1000, options["max_objects"] - objects)}
        answer = server.s3("GET", f"/{bucket}", page | token)
        if answer.status != 200:
            return _refusal(
                "usage", "its listing", answer, "s3:ListBucket", signed=server.is_signed
            )
        sizes = [int(text) for text in re.findall(rb"<Size>(\d+)</Size>", answer.body)]
        used, objects = used + sum(sizes), objects + len(sizes)
        match = re.search(rb"<NextContinuationToken>(.+?)</", answer.body)
        token = {"continuation-token": unescape(match[1].decode())} if match else {}
        more = bool(token)
    return evaluate_quota(used, objects, more, options["quota"], context.ranges)


def evaluate_quota(used: int, objects: int, more: bool, quota: float, ranges: Ranges) -> Reading:
    """Used of the quota, in per cent. With `more` to be counted, `used` is the least it can be."""
    share = 100 * used / quota
    text = f"{share:.0f}% of quota {volume(quota)} used"
    if not more:
        return Reading("usage", share, "%", text, *ranges["usage"], minimum=0)
    text = f"at least {text} by the first {count(objects, 'object')}"
    warning, critical = (
        limit if limit and not limit.inside and share > limit.high else None
        for limit in ranges["usage"]
    )
    if warning or critical:
        return Reading("usage", share, "%", text, warning, critical, minimum=0)
    return state_reading("usage", Status.UNKNOWN, text, "raise --max-objects and --max-listing")


def _canary(server: Storage, bucket: str, context: Context) -> Iterator[Reading]:
    """Put an object that nobody else has, get it, delete it."""
    path = f"/{bucket}/.probe-minio/{secrets.token_hex(8)}"
    content = secrets.token_hex(16).encode()
    started = time.perf_counter()
    put = server.s3("PUT", path, body=content)
    if put.status != 200:
        yield _refusal("canary", "putting an object", put, "s3:PutObject", signed=server.is_signed)
        return
    # In a bucket with versions a plain DELETE would only hide it.
    version = put.headers.get("x-amz-version-id")
    try:
        got = server.s3("GET", path)
    finally:  # else each run leaves one
        deleted = server.s3("DELETE", path, {"versionId": version} if version else None)
    seconds = time.perf_counter() - started
    if got.status == 404 or (got.status == 200 and got.body != content):
        text = "an object is not what was put, or not there"
        yield state_reading(
            "canary", Status.CRITICAL, text, "see mc admin heal, and what is in between"
        )
    elif got.status != 200:
        yield _refusal("canary", "getting an object", got, "s3:GetObject", signed=server.is_signed)
    else:
        yield Reading("canary", seconds, "s", "", *context.ranges["canary"], minimum=0)
    if deleted.status not in (200, 204):
        right = "s3:DeleteObject" + ("Version" if version else "")
        yield _refusal("delete", f"deleting {path}", deleted, right, signed=server.is_signed)


def _size(text: str) -> float:
    try:
        value = size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if value <= 0:
        raise click.BadParameter(f"{text!r} leaves no room")
    return value


PROBE = Probe(
    "minio",
    """Look whether MinIO is up and writable, has room, and whether the bucket is there.

    The secret key is never a flag: it is in S3_SECRET_ACCESS_KEY_FILE (a path), in
    $CREDENTIALS_DIRECTORY/s3_secret_access_key, or in S3_SECRET_ACCESS_KEY. Usage is read from
    MinIO's metrics, with the token in MINIO_METRICS_TOKEN (the same three ways), else with one
    made from the keys, which have to be an administrator's; or from one bucket, with --quota.
    """,
    check_minio,
    extra="s3",
    options=[
        option(
            "--endpoint",
            "S3_ENDPOINT_URL",
            "Where it is.",
            type=web.base_url,
            default="http://127.0.0.1:9000",
            metavar="URL",
        ),
        option("--access-key", "S3_ACCESS_KEY_ID", "Whose secret key it is."),
        option("--region", "S3_REGION", "Region.", default="us-east-1"),
        option("--bucket", "S3_BUCKET_NAME", "Bucket that has to be there."),
        option("--tls-ca", "S3_CA_BUNDLE", "Certificates to trust.", type=FILE),
        option("--plain-s3", "PROBE_MINIO_PLAIN_S3", "It is another S3 server.", is_flag=True),
        option(
            "--quota",
            "PROBE_MINIO_QUOTA",
            "What the bucket may hold; usage is then taken of that.",
            type=_size,
            metavar="SIZE",
        ),
        option(
            "--max-objects",
            "PROBE_MINIO_MAX_OBJECTS",
            "How many objects are counted for --quota.",
            type=click.IntRange(1),
            default=100_000,
        ),
        option(
            "--max-listing",
            "PROBE_MINIO_MAX_LISTING",
            "How long they are counted, at most half of the time there is.",
            type=duration,
            default="5s",
            metavar="DURATION",
        ),
        option(
            "--canary",
            "PROBE_MINIO_CANARY",
            "Put an object into the bucket, get it and delete it.",
            is_flag=True,
        ),
    ],
    thresholds=[
        LATENCY,
        Threshold("usage", "%", "80%", "90%", "used, of the capacity or the quota"),
        Threshold("canary", "s", "1s", "5s", "time of --canary"),
    ],
)


def main(argv: Sequence[str]) -> int:
    return PROBE.main(argv)


def run() -> NoReturn:
    PROBE.run()


if __name__ == "__main__":
    run()
