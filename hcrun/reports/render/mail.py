"""The report as a mail, sent as the Healthchecks server sends its own: by the same settings."""

import smtplib
import ssl
from collections.abc import Callable, Sequence
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, getaddresses, make_msgid
from functools import partial

from hcrun.errors import HcrunError, SettingsError, UsageError
from hcrun.reports.render import phrases
from hcrun.reports.render.html import html
from hcrun.reports.render.text import text
from hcrun.reports.report import Report
from hcrun.settings import PREFIX, Settings

_MAIL = f"{PREFIX}EMAIL_"
_FROM = f"{PREFIX}DEFAULT_FROM_EMAIL"
_TIMEOUT = 30.0  # seconds for each answer of the mail server
_LARGEST = 100_000  # bytes of a mail; some mail programs cut it there
_ROWS = (None, 50, 20, 10, 5, 1)  # of each table, the first that fits


def sender(settings: Settings, given: str) -> tuple[Callable[[Report], None], str]:
    """A function that mails a report to the addresses in `--mail TO`, and the message if it has.

    The function raises HcrunError. Raises SettingsError, UsageError.
    """
    for name in (f"{_MAIL}HOST", _FROM):
        if not settings.get(name):
            raise SettingsError("not set", where=name, hint="--mail needs it")
    tls = settings.flag(f"{_MAIL}USE_SSL", False)  # from the first byte
    starttls = settings.flag(f"{_MAIL}USE_TLS", not tls)
    if starttls and tls:
        both = f"true, and {_MAIL}USE_SSL as well"
        raise SettingsError(both, where=f"{_MAIL}USE_TLS", hint="set only one of them to true")
    host = settings.get(f"{_MAIL}HOST")
    port = settings.integer(f"{_MAIL}PORT", 465 if tls else 587, minimum=1)
    user, password = settings.get(f"{_MAIL}HOST_USER"), settings.secret(f"{_MAIL}HOST_PASSWORD")
    author = _addresses(settings.get(_FROM), _FROM)[0]
    to = _recipients(given, settings)
    context = ssl.create_default_context()
    connect = partial(smtplib.SMTP_SSL, context=context) if tls else smtplib.SMTP

    def send(report: Report) -> None:
        mail, where = _message(report, author, to), f"{host}:{port}"
        try:
            with connect(host, port, timeout=_TIMEOUT) as connection:
                if starttls:
                    connection.starttls(context=context)
                if user:
                    connection.login(user, password)
                refused = connection.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise HcrunError(_reason(error), where=where, hint="nothing was sent") from None
        if refused:
            hint = "the others received it"
            raise HcrunError(f"refused {', '.join(refused)}", where=where, hint=hint)

    return send, f"sent to {', '.join(to)}"


def _recipients(given: str, settings: Settings) -> list[str]:
    """The given addresses, else those in the setting. Raises UsageError, SettingsError."""
    name = "HEALTHCHECKS_REPORT_EMAIL"
    wanted = given or settings.get(name)
    if not wanted:
        raise SettingsError("not set", where=name, hint="set it, or give --mail TO")
    return _addresses(wanted, "--mail" if given else name)


def _addresses(text: str, where: str) -> list[str]:
    """The comma-separated addresses, without names, which are not needed."""
    found = [address for _, address in getaddresses([text])]
    for address in found or [""]:
        try:
            good = bool(Address(addr_spec=address).domain) and text.isprintable()
        except (ValueError, LookupError, AttributeError, HeaderParseError):  # differs by Python
            good = False
        if not good:
            hint = "write it like a@example.com"
            raise UsageError(f"{text!r} is not a mail address", where=where, hint=hint)
    return found


def _message(report: Report, author: str, to: Sequence[str]) -> EmailMessage:
    """A mail with as much of the report, as text and as HTML, as mail programs show."""
    mail = EmailMessage()
    dates = phrases.dates(report.scope.period)
    mail["Subject"] = f"Checks, {dates}: {phrases.headline(report)}"
    mail["From"] = author
    mail["To"] = ", ".join(to)
    mail["Date"] = formatdate(report.scope.now)
    mail["Message-ID"] = make_msgid(domain=author.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    for pictures, shown in ((True, None), *((False, rows) for rows in _ROWS)):
        mail.clear_content()
        mail.set_content(text(report, shown), cte="base64")
        mail.add_alternative(html(report, pictures, shown), subtype="html", cte="base64")
        if len(mail.as_bytes(policy=SMTP)) < _LARGEST:
            break
    return mail


def _reason(error: Exception) -> str:
    """In words, without the password."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refused {', '.join(error.recipients)}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"did not accept {_MAIL}HOST_USER and its password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        answer = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return f"answered {error.smtp_code} {answer}".replace("\n", " ")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{str(error).rstrip('.')}; {_MAIL}USE_TLS and {_MAIL}HOST_USER need it"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"untrusted certificate: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot connect: {error.strerror}"
    return f"cannot connect: {error or type(error).__name__}"
