"""A small API as a Flask backend has it, for the tests of probe-http."""

import time
from itertools import count

import flask
from flask.typing import ResponseReturnValue

app = flask.Flask(__name__)
calls = count()


def let_in() -> bool:
    header = flask.request.headers.get("Authorization", "")
    basic = flask.request.authorization
    user = (basic.username, basic.password) if basic and basic.type == "basic" else None
    return header == "Bearer t0k3n" or user == ("me", "pa/ss")


@app.get("/health")
def health() -> ResponseReturnValue:
    return {"status": "ok", "checks": {"db": True, "queue": "slow"}}


@app.get("/versioned")
def versioned() -> ResponseReturnValue:
    return {"status": "ok", "version": "4.2.1"}


@app.get("/virtual")
def virtual() -> ResponseReturnValue:
    """Only for a virtual host."""
    return {"status": "ok"}, 200 if flask.request.host == "api.example.com" else 404


@app.get("/plain")
def plain() -> ResponseReturnValue:
    return "OK"


@app.get("/down")
def down() -> ResponseReturnValue:
    return {"status": "no database"}, 503


@app.get("/moved")
def moved() -> ResponseReturnValue:
    return flask.redirect("/health?token=s3cr3t", 301)


@app.get("/moved-with-password")
def moved_with_password() -> ResponseReturnValue:
    return flask.redirect("http://me:s3cr3t@host/health")


@app.get("/private")
def private() -> ResponseReturnValue:
    return ({"status": "ok"}, 200) if let_in() else ({"error": "who are you?"}, 401)


@app.get("/admin")
def admin() -> ResponseReturnValue:
    return {"error": "not you"}, 403


@app.get("/often")
def often() -> ResponseReturnValue:
    return {"error": "too often"}, 429


@app.get("/big")
def big() -> ResponseReturnValue:
    return "x" * 3_000_000


@app.get("/slow")
def slow() -> ResponseReturnValue:
    time.sleep(float(flask.request.args["seconds"]))
    return {"status": "ok"}


@app.get("/flaky")
def flaky() -> ResponseReturnValue:
    """Every fifth answer, and never the first, is a failure."""
    return ("", 502) if next(calls) % 5 == 4 else {"status": "ok"}
