"""A Flask backend that is watched by hcrun: `/critical?do=...` does as it is told."""

import os
import threading
import time

import flask
from flask.typing import ResponseReturnValue

from hcrun import healthcheck_blueprint, monitor_endpoint


class NoTenantError(Exception):
    """Handled: the client's mistake."""


app = flask.Flask(__name__)
part = flask.Blueprint("part", __name__)
looks: list[float] = []
hanging = threading.Event()


def do() -> ResponseReturnValue:
    what = flask.request.args.get("do", "")
    if what == "abort":
        flask.abort(502)
    if what == "raise":
        raise ValueError("no database at postgres://me:s3cr3t@db/app")
    if what == "hang":
        time.sleep(60)
    if what == "handled":
        raise NoTenantError
    return (f"{os.getpid()}", int(what)) if what else f"{os.getpid()}"


@app.errorhandler(NoTenantError)
def no_tenant(_error: Exception) -> ResponseReturnValue:
    return "no such tenant", 404


@app.get("/critical")
@monitor_endpoint("critical")
def critical() -> ResponseReturnValue:
    return do()


@app.get("/later/<token>")
@monitor_endpoint("later")
async def later(token: str) -> ResponseReturnValue:
    return f"{len(token)}"


@part.get("/part")
@monitor_endpoint("part")
def in_a_blueprint() -> ResponseReturnValue:
    return do()


@app.get("/last")
@monitor_endpoint("last", period=1)
def last() -> ResponseReturnValue:
    return do()


def slowly() -> tuple[bool, str]:
    looks.append(time.monotonic())
    time.sleep(0.3)
    return True, f"look {len(looks)}"


app.register_blueprint(part, url_prefix="/v1")
app.register_blueprint(healthcheck_blueprint({"slow": slowly}, cache=3600))
