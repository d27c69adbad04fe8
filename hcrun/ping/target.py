"""Resolves a check's name, UUID or ping URL to the URL that is pinged."""

from hcrun.errors import HcrunError, SettingsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.settings import Settings

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_HEX = frozenset("0123456789abcdef")


class Target:
    """The place where a check is pinged."""

    def __init__(
        self, label: str, url: str = "", why: str = "", secrets: tuple[str, ...] = ()
    ) -> None:
        self.label = label  # for people and the journal; never a secret
        self.url = url  # without an action, a secret; "" if the check cannot be pinged
        self.why = why  # it cannot, and what to do; "" if pings are switched off
        self.secrets = secrets  # the parts of the URL that must not be seen
        self.given = ""  # the ping URL or UUID of the command line; "" if the settings have it
        self.server = ""  # of a check whose ping URL the Management API has yet to tell
        self.create = False
        self.by_uuid = False
        self.body_limit: int | None = None  # bytes; None until the server has told it

    def address(self, action: str, rid: str = "") -> str:
        """The URL of one ping; `action` is "", "/start", "/fail", "/log" or "/N"."""
        query = "&create=1" if self.create else ""
        query += f"&rid={rid}" if rid else ""
        return self.url + action + query.replace("&", "?", 1)


def validate(check: str) -> None:
    """Raises UsageError unless `check` may be a name, a UUID or a ping URL."""
    name = check.rstrip("/")
    if "://" in check:
        from_url(check)
    elif "/" in name:  # hc.example.com/ping/UUID: may be a secret
        raise UsageError(
            "the name of a check has no /", hint="a ping URL begins with https:// or http://"
        )
    elif not _is_slug(name.lower()):
        shown = f"{name!r} is not a check" if name else "the name of the check is empty"
        raise UsageError(
            shown, hint="give a name of letters, digits, - and _, a UUID, or a ping URL"
        )


def resolve(check: str, settings: "Settings", create: bool = False) -> Target:
    """The target of `check`. If the settings are wrong, the target's `why` says so."""
    if not settings.enabled():
        return Target(label(check))
    try:
        return _resolve(check, settings, create)
    except HcrunError as error:
        return Target(label(check), why=f"{label(check)} is not pinged: {error}")


def _resolve(check: str, settings: "Settings", create: bool) -> Target:
    if "://" in check:
        target = from_url(check, create)
        target.given = target.url
        return target
    name = check.rstrip("/")
    if is_uuid(name):
        target = _from_uuid(name, settings)
        target.given = name
        return target
    variable = "HC_CHECK_" + name.upper().replace("-", "_")
    value = settings.secret(variable)
    if value:
        try:
            target = from_url(value, create) if "://" in value else _from_uuid(value, settings)
        except UsageError as error:
            raise SettingsError(error.what, where=variable, hint=error.hint) from None
        target.label = name
        # A variable of this process alone: `HC_CHECK_JOB=... hcrun job -- ...` in a crontab.
        if settings.locate_secret(variable)[::2] == (variable, "environment"):
            target.given = value
        return target
    key = settings.secret("HEALTHCHECKS_PING_KEY")
    if not key:
        raise SettingsError(
            f"set {variable} to the check's UUID or ping URL, or HEALTHCHECKS_PING_KEY"
            " (HEALTHCHECKS_ENABLED=false hides this message)"
        )
    if not set(key.lower()) <= _NAME:
        hint = "copy it from the project's page"
        raise SettingsError("is not a ping key", where="HEALTHCHECKS_PING_KEY", hint=hint)
    target = Target(name, f"{_base(settings)}/{key}/{name.lower()}", secrets=(key,))
    target.create = create
    return target


def _from_uuid(uuid: str, settings: "Settings") -> Target:
    uuid = uuid.rstrip("/")
    if not is_uuid(uuid):
        raise UsageError("is neither a UUID nor a ping URL", hint="copy it from the check's page")
    return from_url(f"{_base(settings)}/{uuid}")


def from_url(url: str, create: bool = False) -> Target:
    """The target of a ping URL, `.../UUID` or `.../KEY/SLUG`, without its query.

    Upper and lower case are the same. Raises UsageError.
    """
    scheme = url.partition("://")[0]
    url = url.partition("?")[0].partition("#")[0].rstrip("/")
    rest = url.partition("://")[2]
    host, *parents, last = rest.split("/") if "/" in rest else (rest, "")
    last = last.lower()
    key = parents[-1] if parents else ""
    good = scheme.lower() in ("http", "https") and host and "".join(parents).isascii()
    good = good and (is_uuid(last) or (key and _is_slug(last)))
    if not good or not url.isprintable() or " " in url:
        hint = "write it like https://hc.example.com/ping/UUID"
        raise UsageError("this is not a ping URL", where=f"{scheme}://...", hint=hint)
    if is_uuid(key):
        what = f"/{last} after the UUID is not part of a ping URL"
        raise UsageError(what, where=f"{scheme}://...", hint="leave it out")
    url = url[: -len(last)] + last
    if is_uuid(last):
        target = Target(label(last), url, secrets=(last, last.upper()))
        target.by_uuid = True
        return target
    target = Target(last, url, secrets=(f"{key}/{last}", key))
    target.create = create
    return target


def _is_slug(text: str) -> bool:
    return 0 < len(text) <= 100 and set(text) <= _NAME  # 100: the server's limit


def _base(settings: "Settings") -> str:
    base = settings.ping_url()
    scheme, separator, host = base.partition("://")
    good = scheme.lower() in ("http", "https") and separator and host.strip("/")
    if not good or not base.isprintable() or " " in base:
        raise SettingsError(
            "is not a URL", where="HEALTHCHECKS_PING_URL", hint="write https://hc.example.com/ping"
        )
    return base


def lock_name(check: str) -> str:
    """The name of the lock file of a check: unique and not a secret."""
    from hcrun.text import checksum

    check = check.rstrip("/").lower()
    return f"{label(check)[:50]}-{checksum(check):08x}"


def is_uuid(text: str) -> bool:
    """Whether the text has the form of a UUID, 8-4-4-4-12, in upper or lower case."""
    parts = text.lower().split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and set("".join(parts)) <= _HEX


def label(check: str) -> str:
    """The name itself; of a UUID or URL only as much as tells it from others."""
    last = check.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")[2]
    return last.lower()[:8] if is_uuid(last) else last
