"""The report as a message to a Slack channel, by an incoming webhook."""

from __future__ import annotations

from hcrun.errors import HcrunError, SettingsError
from hcrun.reports.render import phrases
from hcrun.reports.report import Report
from hcrun.settings import Settings
from hcrun.text import printable, shortened

NAME = "SLACK_WEBHOOK_URL"
_PATIENCE = 10.0  # seconds
_LONGEST = 3500  # characters; Slack cuts a message at 4000
_WORST = 5  # checks of each kind


def webhook(settings: Settings) -> str:
    """Raises SettingsError; the URL is a secret."""
    url = settings.secret(NAME)
    if not url:
        raise SettingsError("is not set", where=NAME, hint=f"set {NAME}_FILE; --slack needs it")
    if not url.startswith(("https://", "http://")):
        raise SettingsError("is no URL", where=NAME, hint="copy it from the app's page")
    return url


def text(report: Report) -> str:
    """What matters, in Slack's own markup; all else is in the other formats."""
    lines = [f"*Checks, {phrases.dates(report.period)}* ({_escaped(report.zone)})"]
    lines += [f"• {_escaped(sentence)}" for sentence in phrases.summary(report)]
    broken = [s for s in report.services if s.promise and s.promise.kept is False]
    lines += _list(
        "Broken promises",
        [
            f"{_name(s.subject.slug)}: {phrases.promise(s.promise.slo)}, was"
            f" {phrases.percent(s.promise.ratio)};"
            f" {phrases.percent(s.budget.left, 0)} of the budget left"
            for s in broken
            if s.promise and s.budget
        ],
    )
    lines += _list(
        "To look at",
        [
            f"{_name(service.subject.slug)}: {_escaped(worry)}"
            for service in report.services
            for worry in phrases.worries(service, report)
        ],
    )
    failing = sorted((s for s in report.services if s.last_failure), key=lambda s: -s.now.runs.bad)
    lines += _list(
        "Most failing",
        [
            f"{_name(s.subject.slug)}: {s.now.runs.bad:,} failed, at last"
            f" {_escaped(printable(s.last_failure.words))}"
            for s in failing
            if s.last_failure
        ],
    )
    return shortened("\n".join(lines), _LONGEST)


def _list(title: str, items: list[str]) -> list[str]:
    more = [f"• and {len(items) - _WORST} more"] if len(items) > _WORST else []
    return [f"*{title}*", *(f"• {item}" for item in items[:_WORST]), *more] if items else []


def _name(slug: str) -> str:
    return f"`{_escaped(printable(slug)).replace('`', '')}`"


def _escaped(text: str) -> str:
    """The three characters that Slack's markup takes for its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def send(url: str, text: str) -> None:
    """Raises HcrunError, which does not have the URL in it."""
    import requests  # a third of what a local look costs

    try:
        answer = requests.post(url, json={"text": text}, timeout=_PATIENCE, allow_redirects=False)
    except requests.RequestException as error:
        raise HcrunError(
            f"cannot be reached ({type(error).__name__})", where=NAME, hint="nothing was sent"
        ) from None
    if answer.status_code != 200:
        raise HcrunError(
            f"answered {answer.status_code} {printable(answer.text[:100])}".rstrip(),
            where=NAME,
            hint="nothing was sent; is the webhook still there?",
        )
