"""The report as a mail. The settings have the names of the Healthchecks server's own."""

from __future__ import annotations

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

_PATIENCE = 30.0  # seconds for each answer of the mail server


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in."""

    host: str
    port: int
    user: str
    password: str
    starttls: bool
    tls: bool  # from the first byte
    sender: str


def mail_server(settings: Settings) -> MailServer:
    """Raises SettingsError."""
    host, sender = settings.get("EMAIL_HOST"), settings.get("DEFAULT_FROM_EMAIL")
    for name, value in (("EMAIL_HOST", host), ("DEFAULT_FROM_EMAIL", sender)):
        if not value:
            raise SettingsError("is not set", where=name, hint="--mail needs it")
    tls = settings.flag("EMAIL_USE_SSL", False)
    found = MailServer(
        host,
        settings.integer("EMAIL_PORT", 465 if tls else 587, minimum=1),
        settings.get("EMAIL_HOST_USER"),
        settings.secret("EMAIL_HOST_PASSWORD"),
        starttls=settings.flag("EMAIL_USE_TLS", not tls),
        tls=tls,
        sender=_addresses(sender, "DEFAULT_FROM_EMAIL")[0],
    )
    if found.starttls and found.tls:
        raise SettingsError(
            "is true, and so is EMAIL_USE_SSL", where="EMAIL_USE_TLS", hint="one is enough"
        )
    return found


def recipients(given: str, settings: Settings) -> list[str]:
    """Of `--mail TO`, or of the setting. Raises UsageError, SettingsError."""
    name = "HEALTHCHECKS_REPORT_EMAIL"
    wanted = given or settings.get(name)
    if not wanted:
        raise SettingsError("is not set", where=name, hint="set it, or give --mail TO")
    return _addresses(wanted, "--mail" if given else name)


def _addresses(words_: str, where: str) -> list[str]:
    """Comma-separated; without names, which nothing needs."""
    found = [address for _, address in getaddresses([words_])]
    for address in found or [""]:
        try:
            good = bool(Address(addr_spec=address).domain) and words_.isprintable()
        except (ValueError, LookupError, AttributeError, HeaderParseError):  # differs by Python
            good = False
        if not good:
            raise UsageError(f"{words_!r} is no mail address", where=where, hint="a@example.com")
    return found


def message(report: Report, sender: str, to: list[str]) -> EmailMessage:
    """Text for those who read text, the page for the others."""
    made = EmailMessage()
    made["Subject"] = f"Checks, {phrases.dates(report.period)}: {phrases.headline(report)}"
    made["From"] = sender
    made["To"] = ", ".join(to)
    made["Date"] = formatdate(report.made)
    made["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answers of absent people
    made.set_content(text(report), cte="base64")
    made.add_alternative(html(report), subtype="html", cte="base64")
    return made


def send(server: MailServer, message: EmailMessage) -> None:
    """Raises HcrunError."""
    context = ssl.create_default_context()
    where = f"{server.host}:{server.port}"
    try:
        with (
            smtplib.SMTP_SSL(server.host, server.port, timeout=_PATIENCE, context=context)
            if server.tls
            else smtplib.SMTP(server.host, server.port, timeout=_PATIENCE)
        ) as connection:
            if server.starttls:
                connection.starttls(context=context)
            if server.user:
                connection.login(server.user, server.password)
            refused = connection.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise HcrunError(_what(error), where=where, hint="nothing was sent") from None
    if refused:
        raise HcrunError(
            f"refused {', '.join(refused)}", where=where, hint="the others have got it"
        )


def _what(error: Exception) -> str:
    """In words, without the password."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refused {', '.join(error.recipients)}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"did not accept EMAIL_HOST_USER and its password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        return f"answered {error.smtp_code} {said}".replace("\n", " ")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{str(error).rstrip('.')}; EMAIL_USE_TLS and EMAIL_HOST_USER ask for it"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be reached: {error.strerror}"
    return f"cannot be reached: {error or type(error).__name__}"
