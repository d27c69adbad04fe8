"""Takes secrets out of what is sent, recorded or printed.

`re` costs half a bare interpreter start and each pattern some more to compile, so a pattern is
looked at only when the text has a word without which it cannot match.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HIDDEN = "[redacted]"
_SHORTEST = 6  # a shorter value hits words that are no secrets
_SHORTEST_KEY = 8  # KEY stands in names of many things: KEYMAP=us
_SECRET_NAMES = ("PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "HC_CHECK_")
_REFERENCES = ("_FILE", "_PATH", "_DIR")  # the value says where the secret is

_NAME = r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|access[-_]?key|_key|-key|pwd)"
_URL_LOGIN = r"([a-z][a-z0-9+.-]*://)[^\s/\"'<>]*:[^\s/\"'<>]*@"
_PING_URL = r"(https?://[^\s\"'<>]*?(?:/ping|hc-ping\.com)/)[^\s\"'<>]+"
_SCHEMES = "(?:basic|bearer|token|digest|apikey)"
_AUTHORIZATION = rf"(authorization[\"']?\s*[:=]\s*[\"']?(?:{_SCHEMES}\s+)?)[^\s\"']+"
_BEARER = r"(\bbearer\s+)[\w+/.=~-]{8,}"
_FLAG = rf"--{_NAME}[= ]"
_ASSIGNED = rf"(?<![\w.-]){_NAME}="
_JSON = rf"[\"']{_NAME}[\"']\s*:\s*"
_NAMED = rf"((?:{_FLAG}|{_ASSIGNED}|{_JSON})[\"']?)(?!\[redacted\])[^\s\"'&;,]+"
# Words one of which the lower-case text must have, the pattern, and what stays of a match.
_SHAPES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("://",), _URL_LOGIN, r"\1[redacted]@"),
    (("/ping/", "hc-ping.com/"), _PING_URL, r"\1[redacted]"),
    (("authorization",), _AUTHORIZATION, r"\1[redacted]"),
    (("bearer ",), _BEARER, r"\1[redacted]"),
    (("passw", "passphrase", "secret", "token", "key", "pwd"), _NAMED, r"\1[redacted]"),
)


class Redactor:
    """Hides `secrets` (exact strings), common shapes of secrets, and `patterns`."""

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        parts = {part.strip() for secret in secrets for part in secret.splitlines()}
        known = {"".join(c for c in part if c.isprintable()) for part in parts}
        # The longest first: one may be a part of another.
        self.secrets = sorted((s for s in known if len(s) >= 4), key=len, reverse=True)
        self.patterns = list(patterns)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self.secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        lower = text.lower()
        for words, pattern, stays in _SHAPES:
            if any(word in lower for word in words):
                import re

                text = re.sub(pattern, stays, text, flags=re.IGNORECASE)
        for pattern in self.patterns:
            import re

            text = re.sub(pattern, HIDDEN, text)
        return text

    def words(self, command: list[str]) -> list[str]:
        """A command's words without secrets: `--password x` is seen as well."""
        words = []
        hide = False
        for word in command:
            printable = word.encode("utf-8", "replace").decode()
            words.append(HIDDEN if hide else self.text(printable))
            hide = _asks_for_secret(word)
        return words

    def without_partial_end(self, text: str) -> str:
        """Without the beginning of a secret that was cut off at the end of `text`."""
        longest = max((_overlap(text, secret) for secret in self.secrets), default=0)
        return text[: len(text) - longest]

    def without_partial_start(self, text: str) -> str:
        """Without the end of a secret whose beginning was cut off before `text`."""
        longest = max((_overlap(secret, text) for secret in self.secrets), default=0)
        return text[longest:]


def _overlap(before: str, after: str) -> int:
    """How many characters end `before` and begin `after`."""
    for size in range(min(len(before), len(after)), 0, -1):
        if before.endswith(after[:size]):
            return size
    return 0


def _asks_for_secret(word: str) -> bool:
    if not word.startswith("--") or "=" in word:
        return False
    return word.lower().endswith(("password", "passwd", "passphrase", "token", "secret", "key"))


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """The values of variables that look secret, and the passwords in URLs."""
    values = []
    for name, value in environ.items():
        upper = name.upper()
        if "://" in value and "@" in value:
            password = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
            if len(password) >= 4:
                values.append(password)
        if upper.endswith(_REFERENCES):
            continue
        if any(part in upper for part in _SECRET_NAMES):
            shortest = _SHORTEST
        elif "KEY" in upper:
            shortest = _SHORTEST_KEY
        else:
            continue
        if len(value) >= shortest:
            values.append(value)
    return values
