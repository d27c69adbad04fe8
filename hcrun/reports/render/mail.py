"""The report as a mail. The settings have the same names as those of the Healthchecks server."""

import smtplib
import ssl
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, getaddresses, make_msgid

from hcrun.errors import HcrunError, SettingsError, UsageError
from hcrun.reports.render import phrases
from hcrun.reports.render.html import html
from hcrun.reports.render.text import text
from hcrun.reports.report import Report
from hcrun.settings import Settings

_TIMEOUT = 30.0  # seconds for each answer of the mail server


@dataclass(frozen=True)
class MailServer:
    """The server that accepts the mail."""

    host: str
    port: int
    user: str
    password: str
    starttls: bool
    tls: bool  # from the first byte
    sender: str


def mail_server(settings: Settings) -> MailServer:
    """Raises SettingsError."""
    for name in ("EMAIL_HOST", "DEFAULT_FROM_EMAIL"):
        if not settings.get(name):
            raise SettingsError("not set", where=name, hint="--mail needs it")
    tls = settings.flag("EMAIL_USE_SSL", False)
    starttls = settings.flag("EMAIL_USE_TLS", not tls)
    if starttls and tls:
        hint = "set only one of EMAIL_USE_TLS and EMAIL_USE_SSL"
        raise SettingsError("true, and EMAIL_USE_SSL as well", where="EMAIL_USE_TLS", hint=hint)
    return MailServer(
        settings.get("EMAIL_HOST"),
        settings.integer("EMAIL_PORT", 465 if tls else 587, minimum=1),
        settings.get("EMAIL_HOST_USER"),
        settings.secret("EMAIL_HOST_PASSWORD"),
        starttls,
        tls,
        sender=_addresses(settings.get("DEFAULT_FROM_EMAIL"), "DEFAULT_FROM_EMAIL")[0],
    )


def recipients(given: str, settings: Settings) -> list[str]:
    """The addresses in `--mail TO`, or in the setting. Raises UsageError, SettingsError."""
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


def _message(report: Report, sender: str, to: list[str]) -> EmailMessage:
    """A mail with the report as text and as HTML."""
    mail = EmailMessage()
    dates = phrases.dates(report.scope.period)
    mail["Subject"] = f"Checks, {dates}: {phrases.headline(report)}"
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = formatdate(report.scope.now)
    mail["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail.set_content(text(report), cte="base64")
    mail.add_alternative(html(report), subtype="html", cte="base64")
    return mail


def send(server: MailServer, to: list[str], report: Report) -> None:
    """Raises HcrunError."""
    mail = _message(report, server.sender, to)
    context = ssl.create_default_context()
    where = f"{server.host}:{server.port}"
    try:
        with (
            smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=context)
            if server.tls
            else smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)
        ) as connection:
            if server.starttls:
                connection.starttls(context=context)
            if server.user:
                connection.login(server.user, server.password)
            refused = connection.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise HcrunError(_reason(error), where=where, hint="nothing was sent") from None
    if refused:
        hint = "the others received it"
        raise HcrunError(f"refused {', '.join(refused)}", where=where, hint=hint)


def _reason(error: Exception) -> str:
    """In words, without the password."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refused {', '.join(error.recipients)}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"did not accept EMAIL_HOST_USER and its password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        answer = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return f"answered {error.smtp_code} {answer}".replace("\n", " ")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{str(error).rstrip('.')}; EMAIL_USE_TLS and EMAIL_HOST_USER need it"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"untrusted certificate: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot connect: {error.strerror}"
    return f"cannot connect: {error or type(error).__name__}"
