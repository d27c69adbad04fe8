"""The report as a message to a Slack channel, by an incoming webhook."""

from hcrun.errors import HcrunError, SettingsError
from hcrun.reports.render import phrases
from hcrun.reports.render.sections import LOOK, most_failures
from hcrun.reports.report import Report
from hcrun.settings import Settings
from hcrun.text import printable, shortened

NAME = "HEALTHCHECKS_SLACK_WEBHOOK"
_TIMEOUT = 10.0  # seconds
_LONGEST = 3500  # characters; Slack cuts a message at 4000
_SHOWN = 10  # of each kind


def webhook(settings: Settings) -> str:
    """The URL, which is a secret. Raises SettingsError."""
    url = settings.secret(NAME)
    if not url:
        raise SettingsError("not set", where=NAME, hint=f"--slack needs it; set {NAME}_FILE")
    if not url.startswith(("https://", "http://")):
        raise SettingsError("not a URL", where=NAME, hint="copy it from the Slack app's page")
    return url


def text(report: Report) -> str:
    """The most important facts, in Slack's markup."""
    lines = [f"*Checks, {phrases.dates(report.scope.period)}* ({_escaped(report.zone)})"]
    lines += [f"• {_escaped(sentence)}" for sentence in phrases.summary(report)]
    look = [f"{_name(check)}: {_escaped(what)}" for check, what in phrases.to_look_at(report)]
    failures = [
        f"{_name(row.check.slug)}: {row.now.runs.bad:,} failed, the last one with"
        f" {_escaped(printable(last.text))}"
        for row, last in most_failures(report)
    ]
    lines += _list(LOOK, look)
    lines += _list("Most failures", failures)
    return shortened("\n".join(lines), _LONGEST)


def _list(title: str, items: list[str]) -> list[str]:
    lines = [f"• {item}" for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        lines.append(f"• and {len(items) - _SHOWN} more")
    return [f"*{title}*", *lines] if items else []


def _name(slug: str) -> str:
    return f"`{_escaped(printable(slug)).replace('`', '')}`"


def _escaped(text: str) -> str:
    """The three characters that Slack's markup uses."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def send(url: str, report: Report) -> None:
    """Raises HcrunError, whose text does not contain the URL."""
    import requests  # slow to import, and only needed here

    message = {"text": text(report)}
    try:
        answer = requests.post(url, json=message, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        reason = type(error).__name__
        raise HcrunError(
            f"cannot connect ({reason})", where=NAME, hint="nothing was sent"
        ) from None
    if answer.status_code != 200:
        raise HcrunError(
            f"answered {answer.status_code} {printable(answer.text[:100])}".rstrip(),
            where=NAME,
            hint="nothing was sent; check that the webhook still exists",
        )
