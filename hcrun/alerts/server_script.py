"""Creates channels on a self-hosted Healthchecks server.

`manage.py shell` runs the text of this module on the server, so it imports nothing of hcrun;
`hcrun.alerts.bootstrap` adds the call of `main`. Secrets come with that call (on stdin only), or
from NAME_FILE and NAME in the environment of manage.py. No value is printed.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Options = Mapping[str, str]


def _when(options: Options) -> dict[str, bool]:
    """Whether it sends alerts for checks that go up, and for checks that go down."""
    return {side: options.get(side, "true") == "true" for side in ("up", "down")}


_BODY = (
    '{"check": $NAME_JSON, "status": "$STATUS", "at": "$NOW", "tags": "$TAGS", "text": $BODY_JSON}'
)


def _webhook(options: Options) -> dict[str, Any]:
    value: dict[str, Any] = {}
    body = options.get("body", _BODY)
    headers = {"Content-Type": "application/json"} if body.startswith(("{", "[")) else {}
    for side, wanted in _when(options).items():
        value |= {
            f"url_{side}": options["url"] if wanted else "",
            f"method_{side}": options.get("method", "POST"),
            f"body_{side}": body,
            f"headers_{side}": headers,
        }
    return value


def _ntfy(options: Options) -> dict[str, Any]:
    when = _when(options)
    return {
        "topic": options["topic"],
        "url": options.get("url", "https://ntfy.sh"),
        "priority": 5 if when["down"] else 0,
        "priority_up": 3 if when["up"] else 0,
        "token": options.get("token", ""),
    }


# Kind: its required options, its other options, and the value that the server stores.
Kind = tuple[tuple[str, ...], tuple[str, ...], Callable[[Options], str | dict[str, Any]]]
KINDS: dict[str, Kind] = {
    "email": (("address",), ("up", "down"), lambda o: {"value": o["address"], **_when(o)}),
    "pd": (("key",), (), lambda o: o["key"]),
    "opsgenie": (("key",), ("region",), lambda o: {"region": "us", **o}),
    "webhook": (("url",), ("up", "down", "method", "body"), _webhook),
    "discord": (("url",), (), lambda o: {"webhook": {"url": o["url"]}}),
    "gotify": (("url", "token"), (), dict),
    "ntfy": (("topic",), ("url", "token", "up", "down"), _ntfy),
    "call": (("number",), (), lambda o: {"value": o["number"]}),
}
for _kind in ("slack", "mattermost", "msteamsw", "googlechat", "rocketchat"):
    KINDS[_kind] = (("url",), (), lambda o: o["url"])
for _kind in ("sms", "signal", "whatsapp"):
    KINDS[_kind] = (("number",), ("up", "down"), lambda o: {"value": o["number"], **_when(o)})


def stored_value(kind: str, options: Options) -> str:
    value = KINDS[kind][2](options)
    return value if isinstance(value, str) else json.dumps(value)


def main(channels: list[dict[str, Any]], key: str, secrets: dict[str, str]) -> None:
    """Create or correct each channel in the project of the API key; `key` names its secret.

    A channel is `{"name", "kind", "options", "secrets": {option: name of the secret}}`.
    """
    project = _project(_secret(key, secrets))
    if project is None:
        print(f"{key}: not the read-write API key of a project on this server")
        sys.exit(1)
    done = [_ensure(project, channel, secrets) for channel in channels]
    sys.exit(not all(done))


def _project(key: str) -> Any:
    projects = import_module("hc.accounts.models").Project.objects
    if hasattr(projects, "for_api_key"):  # keys are hashed since v4
        return projects.for_api_key(key, accept_rw=True, accept_ro=False)
    return projects.filter(api_key=key).first()


def _secret(name: str, given: Mapping[str, str]) -> str:
    if name in given:
        return given[name]
    if path := os.environ.get(f"{name}_FILE"):
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    if value := os.environ.get(name, "").strip():
        return value
    print(f"{name}: not set where manage.py runs, nor is {name}_FILE")
    sys.exit(1)


def _ensure(project: Any, channel: dict[str, Any], secrets: Mapping[str, str]) -> bool:
    """Create or correct a channel and print which; returns whether it is as it should be."""
    channels = import_module("hc.api.models").Channel.objects
    name, kind = channel["name"], channel["kind"]
    options = dict(channel["options"])
    options |= {option: _secret(word, secrets) for option, word in channel["secrets"].items()}
    value = stored_value(kind, options)
    there = list(channels.filter(project=project, name=name))
    if len(there) > 1 or any(one.kind != kind for one in there):
        kinds = ", ".join(one.kind for one in there)
        print(f"{name} ({kind}): this name is taken ({kinds}); rename that channel first")
        return False
    if not there:
        # The administrator gives the address: it needs no verification by e-mail.
        channels.create(project=project, name=name, kind=kind, value=value, email_verified=True)
        print(f"{name} ({kind}): created")
        return True
    (one,) = there
    if one.value == value and not one.disabled:
        print(f"{name} ({kind}): exists")
        return True
    one.value, one.disabled, one.email_verified, one.last_error = value, False, True, ""
    one.save()
    print(f"{name} ({kind}): corrected")
    return True
