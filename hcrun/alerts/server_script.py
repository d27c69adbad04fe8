"""Works inside a self-hosted Healthchecks server: creates, tests and describes channels.

`manage.py shell` runs the text of this module on the server, so it imports nothing of hcrun;
`hcrun.alerts.inside` adds the call of `main`. Secrets come with that call (on stdin only), or
from NAME_FILE and NAME in the environment of manage.py. No value is printed.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

Options = Mapping[str, str]
_NOTHING = "hcctl channels test sent this. Nothing is down, and there is nothing to do."


def stored_value(template: Any, options: Options) -> str:
    """A value of kinds.json, where `json` is true if the body of a webhook is."""
    is_json = options.get("body", "{").startswith(("{", "["))
    value = _filled(template, {**options, "json": str(is_json).lower()})
    return value if isinstance(value, str) else json.dumps(value)


def _filled(template: Any, options: Options) -> Any:
    """In it, "$url=DEFAULT" is an option of the channel; ["up", 3, 0] is 3 unless `up` is false."""
    if isinstance(template, dict):
        return {name: _filled(value, options) for name, value in template.items()}
    if isinstance(template, list):
        option, yes, no = template
        return _filled(yes if options.get(option, "true") == "true" else no, options)
    if isinstance(template, str) and template.startswith("$"):
        name, _, default = template[1:].partition("=")
        return options.get(name, default)
    return template


def main(task: str, key: str, secrets: Options, given: Any) -> None:
    """Do a task in the project of the API key; `key` names its secret."""
    projects = import_module("hc.accounts.models").Project.objects
    project = projects.for_api_key(_secret(key, secrets), accept_rw=True, accept_ro=False)
    if project is None:
        print(f"{key}: not the read-write API key of a project on this server")
        sys.exit(1)
    tasks = {"bootstrap": _bootstrap, "test": _test, "states": _states}
    sys.exit(not tasks[task](project, given, secrets))


def _secret(name: str, given: Options) -> str:
    if name in given:
        return given[name]
    if path := os.environ.get(f"{name}_FILE"):
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    if value := os.environ.get(name, "").strip():
        return value
    print(f"{name}: not set where manage.py runs, nor is {name}_FILE")
    sys.exit(1)


def _say(name: str, kind: str, what: str, good: bool = True) -> bool:
    print(f"{name} ({kind}): {what}", flush=True)
    return good


def _of(project: Any) -> Any:
    channels = import_module("hc.api.models").Channel.objects
    return channels.filter(project=project).order_by("id")


def _profile(project: Any) -> Any:
    return import_module("hc.accounts.models").Profile.objects.for_user(project.owner)


def _bootstrap(project: Any, channels: list[Any], secrets: Options) -> bool:
    """Create or correct channels, as inside.specs has them; returns whether all are right."""
    done = [_channel(project, secrets, **channel) for channel in channels]
    profile = _profile(project)
    if not profile.nag_period:
        profile.nag_period = timedelta(hours=1)
        profile.save()
        profile.update_next_nag_date()
    print(f"reminders to {project.owner.email} while a check is down: every {profile.nag_period}")
    return all(done)


def _channel(project: Any, given: Options, name: str, kind: str, **spec: Any) -> bool:
    """Create or correct a channel, and one more for each further address or number."""
    secrets = {option: _secret(word, given) for option, word in spec["secrets"].items()}
    options = {**spec["options"], **secrets}
    settings = import_module("django.conf").settings
    missing = [  # a version without a setting needs none
        need
        for need in spec["needs"]
        if not any(getattr(settings, one, True) for one in need.split(" or "))
    ]
    if missing:
        return _say(name, kind, f"refused: first set {', '.join(missing)} on the server", False)
    key = "address" if kind == "email" else "number"
    several = list(dict.fromkeys(filter(None, re.split(r"\s*[,;]\s*", options.get(key, "")))))
    each = [{**options, key: one} for one in several] or [options]
    for option, (form, example) in spec["forms"].items():
        if not all(re.fullmatch(form, one[option]) for one in each if option in one):
            return _say(name, kind, f"refused: {option} must be like {example}", False)
    names = [name, *(f"{name} ({one})" for one in several[1:])]
    for other in _of(project).filter(kind=kind, name__startswith=f"{name} ("):
        address = other.name.removeprefix(f"{name} (").removesuffix(")")
        if other.name not in names and f'"{address}"' in other.value:  # that is no longer given
            other.delete()
            _say(other.name, kind, "removed")
    values = [stored_value(spec["value"], one) for one in each]
    done = [_ensure(project, *one, kind) for one in zip(names, values, strict=True)]
    return all(done)


def _ensure(project: Any, name: str, value: str, kind: str) -> bool:
    there = list(_of(project).filter(name=name))
    if len(there) > 1 or any(one.kind != kind for one in there):
        kinds = ", ".join(one.kind for one in there)
        what = f"this name is taken ({kinds}); rename that channel first"
        return _say(name, kind, what, False)
    new = import_module("hc.api.models").Channel(project=project, name=name, kind=kind)
    (one,) = there or [new]
    if there and one.value == value and one.email_verified and not one.disabled:
        return _say(name, kind, "exists")
    # The administrator gives the address: it needs no verification by e-mail.
    one.value, one.disabled, one.email_verified, one.last_error = value, False, True, ""
    one.save()
    return _say(name, kind, "corrected" if there else "created")


def _test(project: Any, names: list[str], _: object) -> bool:
    """Send test alerts; returns whether the server could send all, and sends its other alerts."""
    channels = [one for one in _of(project) if not names or str(one) in names]
    missing = set(names) - {str(one) for one in channels}
    if missing or not channels:
        print("the project has no channel", *sorted(missing))
        return False
    models = import_module("hc.api.models")
    done = [_send(models, one) for one in channels]
    minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    if models.Flip.objects.filter(processed=None, created__lt=minute_ago).exists():
        return _say("other alerts", "sendalerts", "not sent for a minute; see its log", False)
    return all(done)


def _send(models: Any, channel: Any) -> bool:
    """Send DOWN, then UP to close what that has opened, as the button Test! does."""
    check = models.Check(project=channel.project, name=f"TEST of {channel}", desc=_NOTHING)
    check.last_ping = datetime.now(UTC)
    answers = ["disabled by the server; bootstrap enables it"] if channel.disabled else []
    for check.status, before in (("down", "up"), ("up", "down")):
        flip = models.Flip(owner=check, created=check.last_ping)
        flip.old_status, flip.new_status = before, check.status
        try:
            answers.append(channel.notify(flip, is_test=True))
        except Exception as error:  # which ends the work of sendalerts on an alert, too
            answers.append(f"{type(error).__name__}: {error}")
    errors = [answer for answer in answers if answer not in ("", "no-op")]
    if "" not in answers:
        errors.append("it wants alerts neither of DOWN nor of UP")
    what = f"failed: {errors[0]}" if errors else "sent"
    return _say(str(channel), channel.kind, what, not errors)


def _states(project: Any, *_: object) -> bool:
    """Print what the API does not tell: for each id the last alert, and what is wrong."""
    print("reminders", _profile(project).nag_period or "never", "")
    old = datetime.now(UTC) - timedelta(minutes=5)
    for channel in _of(project):
        notes = channel.notification_set.order_by("created")
        notes = notes.exclude(error="Sending", created__gt=old)  # those are on their way
        last, sent = notes.last(), notes.filter(error="").last()
        error = (last.error if last else channel.last_error).replace("Sending", "see its log")
        state = "is disabled by the server" if channel.disabled else error and "failed"
        wrong = ": ".join(filter(None, (state, error)))
        print(channel.code, sent.created.isoformat()[:19] + "Z" if sent else "never", wrong)
    return True
