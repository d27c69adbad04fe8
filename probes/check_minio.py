#!/usr/bin/env python3
"""MinIO: is it up and writable, are drives offline, is there space, does the bucket exist?"""

if not __package__:  # run as a file: hcrun lies beside this directory
    import sys

    sys.path[0] += "/.."
    try:
        import probes  # noqa: F401 - says so if one of the imports below fails
    except ImportError:
        print("UNKNOWN - hcrun is not installed; run: pip install 'hcrun[all]'")
        sys.exit(3)

import secrets
import time
from collections.abc import Iterator
from typing import Any

from hcrun.text import counted
from hcrun.units import volume
from probes.clients import http as web
from probes.clients import minio
from probes.clients.s3 import S3Error, Storage
from probes.framework.probe import Context, Probe, Ranges, UnknownError
from probes.framework.table import table
from probes.framework.verdict import Reading, Status, state_reading


def check_minio(context: Context) -> None:
    options = context.options
    if (options["quota"] or options["canary"]) and not options["bucket"]:
        raise UnknownError("--quota and --canary need a bucket", hint="set S3_BUCKET_NAME")
    if options["plain_s3"] and not options["bucket"]:
        raise UnknownError("--plain-s3 needs a bucket", hint="set S3_BUCKET_NAME")
    with Storage(context) as server:
        if not options["plain_s3"]:
            minio.check_cluster(server, context)
        if options["bucket"]:
            _check_bucket(server, options["bucket"], context)
        else:
            context.add(state_reading("bucket", Status.OK, "no bucket is checked"))


def _check_bucket(server: Storage, bucket: str, context: Context) -> None:
    what = f"bucket {bucket}"
    state = state_reading("bucket", Status.OK, f"{what} exists")
    try:
        if "Name" not in server.call("list_objects_v2", Bucket=bucket, MaxKeys=1):
            raise S3Error(200, "")
    except S3Error as error:
        state = evaluate_error("bucket", what, error, "s3:ListBucket", signed=server.is_signed)
    if context.options["plain_s3"]:
        server.answered(server.last)
    context.add(state)
    if not state.status and context.options["quota"]:
        context.add(_usage(server, bucket, context))
    if state.status is not Status.CRITICAL and context.options["canary"]:
        context.add(*_canary(server, bucket, context))


def evaluate_error(label: str, what: str, error: S3Error, right: str, *, signed: bool) -> Reading:
    """CRITICAL when the server or the bucket is missing, UNKNOWN when it refuses the probe."""
    keys = f"{'check' if signed else 'set'} S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"
    hint = {
        "": "check S3_ENDPOINT_URL",
        "NoSuchBucket": "check S3_BUCKET_NAME; a new bucket would be empty",
        "AccessDenied": f"allow {right}" if signed else keys,
        "InvalidAccessKeyId": keys,
        "SignatureDoesNotMatch": keys,
        "RequestTimeTooSkewed": "set the clock of this host",
        "AuthorizationHeaderMalformed": "check S3_REGION",
        "PermanentRedirect": "check S3_REGION",
    }.get(error.code, "")
    if error.status >= 500:
        reason = error.code or f"the server answers {error.status}"
        return state_reading(label, Status.CRITICAL, f"{what}: {reason}", "see the server's log")
    status = Status.CRITICAL if error.code == "NoSuchBucket" else Status.UNKNOWN
    reason = error.code or f"the answer ({error.status}) is not from an S3 server"
    return state_reading(label, status, f"{what}: {reason}", hint)


def _usage(server: Storage, bucket: str, context: Context) -> Reading:
    """Count the objects of the bucket, up to the limits on their number and on the time."""
    options = context.options
    end = time.monotonic() + min(options["max_listing"], context.deadline.left() / 2)
    used = objects = 0
    token: dict[str, Any] = {}
    more = True
    while more and objects < options["max_objects"] and time.monotonic() < end:
        size = min(1000, options["max_objects"] - objects)
        try:
            page = server.call("list_objects_v2", Bucket=bucket, MaxKeys=size, **token)
        except S3Error as error:
            right = "s3:ListBucket"
            return evaluate_error("usage", "its listing", error, right, signed=server.is_signed)
        contents = page.get("Contents", [])
        used += sum(entry["Size"] for entry in contents)
        objects += len(contents)
        more = "NextContinuationToken" in page
        token = {"ContinuationToken": page["NextContinuationToken"]} if more else {}
    return evaluate_quota(used, objects, more, options["quota"], context.ranges)


def evaluate_quota(used: int, objects: int, more: bool, quota: float, ranges: Ranges) -> Reading:
    """Used space in per cent of the quota. With `more` objects to count, `used` is a minimum."""
    share = 100 * used / quota
    text = f"{share:.0f}% of quota {volume(quota)} used"
    if not more:
        return Reading("usage", share, "%", text, *ranges["usage"], minimum=0)
    text = f"at least {text} by the first {counted(objects, 'object')}"
    warning, critical = (
        range_ if range_ and not range_.inside and share > range_.high else None
        for range_ in ranges["usage"]
    )
    if warning or critical:
        return Reading("usage", share, "%", text, warning, critical, minimum=0)
    return state_reading("usage", Status.UNKNOWN, text, "raise --max-objects and --max-listing")


def _canary(server: Storage, bucket: str, context: Context) -> Iterator[Reading]:
    """Put an object with a name of its own, get it and delete it."""
    place = {"Bucket": bucket, "Key": f".probe-minio/{secrets.token_hex(8)}"}
    content = secrets.token_hex(16).encode()
    signed = server.is_signed
    started = time.perf_counter()
    try:
        put = server.call("put_object", **place, Body=content)
    except S3Error as error:
        yield evaluate_error("canary", "putting an object", error, "s3:PutObject", signed=signed)
        return
    # In a bucket with versions, a delete without the version only hides the object.
    version = {"VersionId": put["VersionId"]} if "VersionId" in put else {}
    problems = []
    found = b""
    try:
        found = server.call("get_object", **place)["Body"].read()
    except S3Error as error:
        if error.status != 404:
            what, right = "getting an object", "s3:GetObject"
            problems.append(evaluate_error("canary", what, error, right, signed=signed))
    finally:  # else each run leaves an object behind
        try:
            server.call("delete_object", **place, **version)
        except S3Error as error:
            what = f"deleting /{bucket}/{place['Key']}"
            right = "s3:DeleteObject" + ("Version" if version else "")
            problems.append(evaluate_error("delete", what, error, right, signed=signed))
    seconds = time.perf_counter() - started
    if found == content:
        yield Reading("canary", seconds, "s", "", *context.ranges["canary"], minimum=0)
    elif not any(problem.label == "canary" for problem in problems):
        text = "an object is missing or changed right after it was put"
        hint = "see mc admin heal, and any proxy in front of MinIO"
        yield state_reading("canary", Status.CRITICAL, text, hint)
    yield from problems


PROBE = Probe("minio", table("minio", types={"--endpoint": web.base_url}), check_minio, extra="s3")

if __name__ == "__main__":
    raise SystemExit(PROBE.run())
