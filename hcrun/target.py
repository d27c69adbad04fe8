"""Check name, UUID, slug or URL -> where to ping."""

from __future__ import annotations

from hcrun.errors import HcrunError, SettingsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcrun.settings import Settings

HOSTED = "https://hc-ping.com"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_HEX = frozenset("0123456789abcdef")


class Target:
    """Where a check is pinged.

    label: what people and the journal call the check; never a secret.
    url: the ping URL without an action, "" when there is no way to ping; a secret.
    why: in that case, what to do about it ("" when pinging was switched off).
    secrets: the parts of the URL that must not be seen.
    """

    def __init__(
        self, label: str, url: str = "", why: str = "", secrets: tuple[str, ...] = ()
    ) -> None:
        self.label = label
        self.url = url
        self.why = why
        self.secrets = secrets
        self.create = False
        self.by_uuid = False

    def address(self, action: str, rid: str = "") -> str:
        """The URL of one ping; `action` is "", "/start", "/fail", "/log" or "/N"."""
        query = ["create=1"] if self.create else []
        if rid:
            query.append(f"rid={rid}")
        return self.url + action + ("?" + "&".join(query) if query else "")


def validate(check: str) -> None:
    """Raises UsageError for what can be neither a name, a UUID nor a URL."""
    if "://" in check:
        from_url(check)
    elif not check or len(check) > 100 or not set(check.lower()) <= _NAME:
        shown = f"{check!r} is no check" if check else "the check's name is empty"
        raise UsageError(
            shown, hint="give a name of letters, digits, - and _, a UUID, or a ping URL"
        )


def resolve(check: str, settings: Settings, create: bool = False) -> Target:
    """Where to ping `check`. What is wrong with the settings is in the target's `why`."""
    if not settings.flag("HEALTHCHECKS_ENABLED", True):
        return Target(_label(check))
    try:
        return _resolve(check, settings, create)
    except HcrunError as error:
        return Target(_label(check), why=str(error))


def _resolve(check: str, settings: Settings, create: bool) -> Target:
    if "://" in check:
        return from_url(check)
    if is_uuid(check):
        return _from_uuid(check, settings)
    variable = "HC_CHECK_" + check.upper().replace("-", "_")
    value = settings.secret(variable)
    if value:
        try:
            target = from_url(value) if "://" in value else _from_uuid(value, settings)
        except UsageError as error:
            raise SettingsError(error.what, where=variable, hint=error.hint) from None
        target.label = check
        return target
    key = settings.secret("HEALTHCHECKS_PING_KEY")
    if not key:
        raise SettingsError(
            f"{check} is not pinged",
            hint=f"set {variable} to the check's UUID or ping URL, or HEALTHCHECKS_PING_KEY"
            " (HEALTHCHECKS_ENABLED=false keeps it so, silently)",
        )
    slug = check.lower()
    target = Target(check, f"{_base(settings)}/{key}/{slug}", secrets=(key,))
    target.create = create
    return target


def _from_uuid(uuid: str, settings: Settings) -> Target:
    if not is_uuid(uuid):
        raise UsageError("is neither a UUID nor a ping URL", hint="copy it from the check's page")
    return from_url(f"{_base(settings)}/{uuid}")


def from_url(url: str) -> Target:
    """The target of a full ping URL; raises UsageError when it cannot be one."""
    url = url.partition("?")[0].partition("#")[0].rstrip("/")
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    if scheme.lower() not in ("http", "https") or not host or not path or not url.isprintable():
        raise UsageError(
            "this is not a ping URL",
            where=f"{scheme}://...",
            hint="it looks like https://hc.example.com/ping/UUID",
        )
    *parents, last = path.split("/")
    if is_uuid(last):
        url = url.removesuffix(last) + last.lower()
        target = Target(_label(last), url, secrets=(last, last.lower()))
        target.by_uuid = True
        return target
    key = parents[-1] if parents else last
    return Target(_label(last), url, secrets=(f"{key}/{last}", key))


def _base(settings: Settings) -> str:
    base = settings.get("HEALTHCHECKS_PING_URL", HOSTED).rstrip("/")
    scheme, separator, host = base.partition("://")
    if scheme.lower() not in ("http", "https") or not separator or not host.strip("/"):
        raise SettingsError(
            "is not a URL", where="HEALTHCHECKS_PING_URL", hint="write https://hc.example.com/ping"
        )
    return base


def lock_name(check: str) -> str:
    """A file name for the lock of a check; no secret, and not the same for two checks."""
    from binascii import crc32

    return f"{_label(check)[:50]}-{crc32(check.lower().encode()):08x}"


def is_uuid(text: str) -> bool:
    """Whether it has the form 8-4-4-4-12, in any case."""
    parts = text.lower().split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and set("".join(parts)) <= _HEX


def _label(check: str) -> str:
    """A name as it is; of a UUID or URL no more than tells it from others."""
    last = check.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last.lower()[:8] if is_uuid(last) else last
