"""Removes secrets from texts that are sent, recorded or printed.

A secret whose value is known (from the environment, the env file, the ping URL) is hidden
everywhere; others are recognised by the text around them.

`re` costs half a bare interpreter start, and each pattern some more to compile, so a pattern is
tried only if the text has a word without which it cannot match. No pattern can begin inside of its
own repetition: 72 KB of any text take milliseconds.
"""

from __future__ import annotations

from hcrun.text import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping


HIDDEN = "[redacted]"
_SHORTEST = 6  # a shorter value matches words that are not secrets
_SHORTEST_TOKEN = 14
_SHORTEST_KEY = 8  # KEY is part of many names: KEYMAP=us
_SECRET_NAMES = ("PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "SECRET", "HC_CHECK_")
_SECRET_ENDINGS = ("_PASS", "_PWD", "_AUTH")  # SMTP_PASS, MYSQL_PWD, REDISCLI_AUTH
_REFERENCES = ("_FILE", "_PATH", "_DIR")  # the value is the place of the secret
_NO_VALUES = ("", HIDDEN, "none", "null", "nil", "true", "false", "yes", "no")

# The ends of names whose value is a secret: --db-password=x, API_KEY=x, "token": "x".
_ROOTS = ("password", "passwd", "passphrase", "secret", "token", "pwd", "key")
_KEYS = ("api", "access", "secret", "private", "auth", "ping", "encryption", "signing")
_ENDINGS = (*_ROOTS[:-1], *(kind + joint + "key" for kind in _KEYS for joint in ("", "-")))
_NAME = rf"(?:passw(?:or)?d|passphrase|secret|token|pwd|(?:{'|'.join(_KEYS)})[-_]?key)"
# In quotes as JSON, a shell, and JSON in a JSON string have them; or bare.
_VALUE = r"(\\\"[^\"\n]*|\"(?:[^\"\\\n]|\\.)*|'[^'\n]*|[^\s\"'&;,<>}]+)"
_QUOTE = r"\\?[\"']"
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_AUTHORIZATION = rf"authorization(?:{_QUOTE})?[ \t]*[:=][ \t]*(?:{_QUOTE})?"
_SCHEME = r"(?:basic|bearer|token|apikey|negotiate|ntlm)[ \t]+[^\s\"',\\]+"
_LONG_SCHEME = r"(?:digest|oauth|hawk|signature|aws4-[\w-]+)[ \t][^\n]+"
_OPAQUE = r"(?=[^\s\d]{0,200}\d|\S{16})[^\s\"',\\]+"  # Authorization: required
_ANY_SCHEME = rf"[\w-]{{1,40}}[ \t]+(?=\S{{8}}){_OPAQUE}"
_HEADER = r"(?:x-(?:[a-z]+-)*(?:key|token|secret)|(?:private|job|deploy)-token)"
_COOKIE = r"[^\s;,=\"'\\]+=(?:\"[^\"\n]*\"|[^;\n\"'\\]*)"
_SIGNED = r"x-(?:amz|goog)-(?:signature|credential|security-token)"
_HOOKS = r"hooks\.slack\.com/\w+|discord(?:app)?\.com/api/webhooks|\.office\.com/webhookb2"

# Words, one of which the lower-case text must have, and the pattern: group 2 is hidden.
Shapes = tuple[tuple[tuple[str, ...], str], ...]
_SHAPES: Shapes = (
    # postgres://user:password@host; the user as well, as tokens stand there too
    (("://",), r"(://)([^\s/\"'<>:@]*:[^\s/\"'<>]*)(?=@)"),
    (("/ping/",), rf"(/ping/)({_UUID}|[\w-]{{16,}}/[\w-]+)"),
    (("hc-ping.com/",), rf"(hc-ping\.com/)({_UUID}|[\w-]+/[\w-]+)"),
    (("authorization",), rf"({_AUTHORIZATION})({_LONG_SCHEME}|{_SCHEME}|{_ANY_SCHEME}|{_OPAQUE})"),
    (("bearer ",), r"(\bbearer )(?=[^\s\d]{0,200}\d)([\w+/.=~-]{8,})"),
    # X-Api-Key: x, PRIVATE-TOKEN: x
    (("x-", "-token:"), rf"((?<![\w-]){_HEADER}[ \t]*:[ \t]*)([^\s\"',\\]+)"),
    # Cookie: a=x; b=y, Set-Cookie: a=x; Path=/
    (
        ("cookie",),
        rf"(cookie(?:{_QUOTE})?[ \t]*:[ \t]*(?:{_QUOTE})?)({_COOKIE}(?:;[ \t]*{_COOKIE})*)",
    ),
    # ?X-Amz-Signature=x&X-Amz-Credential=y, and sig=x of Azure
    (("x-amz-", "x-goog-"), rf"({_SIGNED}=)([^\s&\"'<>\\]+)"),
    (("sig=", "signature="), r"([?&;](?:sig|signature)=)(?=[^\s&]{16})([^\s&\"'<>\\]+)"),
    (("hooks.slack.com/", "/webhook"), rf"((?:{_HOOKS})/)([^\s\"'<>\\]+)"),
)
# These, and the next ones, need one of the roots.
_NAMED: Shapes = (
    # --password=x, PASSWORD=x
    (tuple(f"{root}=" for root in _ROOTS), rf"({_NAME}=){_VALUE}"),
    # "password": "x", 'password': 'x', \"password\": \"x\"
    (
        tuple(root + quote for root in _ROOTS for quote in "\"'\\"),
        rf"({_NAME}{_QUOTE}[ \t]*:[ \t]*){_VALUE}",
    ),
)
# The same where a word of a message may follow, which is kept.
_SHAPES_OF_TEXT: Shapes = (
    # password: x, alone on its line as in YAML; but "token: expired"
    (
        tuple(f"{root}:" for root in _ROOTS),
        rf"(^[ \t]*(?:- )?[\w.-]*{_NAME}:[ \t]+)(\S+)(?=[ \t]*$)",
    ),
    # password = x
    (tuple(f"{root} =" for root in _ROOTS), rf"({_NAME} = )(?=\S{{6}}){_VALUE}"),
)
# --password x, as `set -x` of a shell shows it; but "--password is missing". The text must have --:
# otherwise the note about a missing HEALTHCHECKS_PING_KEY would load `re` in every run.
_FLAGS_OF_TEXT: Shapes = (
    (tuple(f"{root} " for root in _ROOTS), rf"((?<![\w-])--[\w-]*{_NAME}[ ]){_VALUE}"),
)
# In two words. Digits only may as well be a group or a port.
_LOGINS: Shapes = (
    # curl -u name:password, --user=name:password
    (
        (" -u", "--user", "--proxy-user"),
        r"((?<!\S)(?:-u[ ]?|--(?:proxy-)?user[ =])[\"']?[^\s\"':/]+:)([^\s\"']+)",
    ),
    # mysqldump -u root -psecret
    ((" -p",), r"((?<!\S)(?:-u[ ]?|--user[ =])[^\s\"']+[ ]-p)([^\s\"']+)"),
)
# What hcrun.tokens knows by how it begins; few outputs have one.
_BEGINNINGS = (
    "PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-",
    "xox", "xapp-", "eyJ", "hvs.", "hvb.", "hvr.", "k_live_", "AIza", "ya29.", "npm_", "pypi-",
    "SG.", "sk-ant-", "sk-proj-",
)  # fmt: skip


class Redactor:
    """Hides `secrets` (exact strings), common shapes of secrets, and `patterns`."""

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        # As in a cleaned output, line by line.
        texts = [clean(secret.encode("utf-8", "surrogateescape")) for secret in secrets]
        lines = {line.strip() for text in texts for line in text.split("\n")}
        forms = lines | {_percent_encoded(line) for line in lines} | set(map(_decoded, lines))
        long_enough = {s for s in forms if len(s) >= _SHORTEST and s not in HIDDEN}
        # The longest first: one may be part of another.
        self.secrets = sorted(long_enough, key=len, reverse=True)
        self.patterns = list(patterns)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self.secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        if len(text) >= _SHORTEST_TOKEN and _has(_BEGINNINGS, text):
            from hcrun.tokens import without_tokens

            text = without_tokens(text, HIDDEN)
        text = _without_shapes(text, _SHAPES, _hide)
        if _has(_ROOTS, text.lower()):
            text = _without_shapes(text, _NAMED, _hide)
            text = _without_shapes(text, _SHAPES_OF_TEXT, _hide_unless_word)
            if "--" in text:
                text = _without_shapes(text, _FLAGS_OF_TEXT, _hide_unless_word)
        text = without_logins(text)
        for pattern in self.patterns:
            text = without(text, pattern)
        return text

    def words(self, command: list[str]) -> list[str]:
        """The words of a command without secrets, also in the form `--password x`."""
        words = []
        hide = False
        for word in command:
            words.append(HIDDEN if hide else self._word(word))
            hide = word.startswith("-") and "=" not in word and _is_secret_name(word)
        return words

    def _word(self, word: str) -> str:
        name, equals, value = word.partition("=")
        # The rest is the value, except in a script for `sh -c`.
        is_value = name.startswith("-") or len(value.split(None, 1)) < 2
        if equals and is_value and _is_secret_name(name):
            return f"{self.text(name)}={HIDDEN}"
        return self.text(word.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

    def without_partial_end(self, text: str) -> str:
        """The text without an end that may be the beginning of a secret."""
        known = max((_overlap(text, secret) for secret in self.secrets), default=0)
        last_word = len(text) - 1 - max(text.rfind(c) for c in " \t\n\"',;&")
        return text[: len(text) - max(known, last_word)]

    def without_partial_start(self, text: str) -> str:
        """The text without a beginning that may be the end of a secret."""
        import re

        known = max((_overlap(secret, text) for secret in self.secrets), default=0)
        # Authorization: Bearer x takes three words; Cookie: a=x; b=y any number of them.
        words = re.match(
            rf"(?:[^\s\"',;&]*[\s\"',;&]+){{1,3}}(?:{_COOKIE};[ \t]*)*((?<=; )[^\s;=]+=\S*)?", text
        )
        return text[max(known, words.end()) :] if words else ""


def without_logins(text: str) -> str:
    """The text without the passwords of `-u name:password` and the like."""
    return _without_shapes(text, _LOGINS, _hide)


def without(text: str, pattern: str) -> str:
    """The text without the matches of a pattern; a note instead of it if matching does not end."""
    import re

    from hcrun.regex import TooLongError, bounded

    # `^` and `$` mean lines, as in --expect; a pattern may match nothing at all.
    regex = re.compile(pattern, re.MULTILINE)
    try:
        return bounded(lambda: regex.sub(lambda m: m[0] and HIDDEN, text))
    except TooLongError:
        return "[left out: a --redact pattern matches it without end]"


def _has(words: tuple[str, ...], text: str) -> bool:
    for word in words:  # noqa: SIM110 - any() takes longer
        if word in text:
            return True
    return False


def _without_shapes(text: str, shapes: Shapes, hide: Callable[[re.Match[str]], str]) -> str:
    lower = text.lower()
    for words, pattern in shapes:
        if _has(words, lower):
            import re

            text = re.sub(pattern, hide, text, flags=re.IGNORECASE | re.MULTILINE)
    return text


def _hide(match: re.Match[str]) -> str:
    value = match[2]
    bare = value.lstrip("\\\"'")
    if bare.lower() in _NO_VALUES or not bare.strip("*"):
        return match[0]
    name = match[1].lower()
    if "pass" not in name and len(bare) < _SHORTEST and bare.isdigit():  # expired_token=12;;;0
        return match[0]
    if "pwd" in name and bare.startswith("/"):  # PWD=/root
        return match[0]
    return match[1] + value[: len(value) - len(bare)] + HIDDEN


def _hide_unless_word(match: re.Match[str]) -> str:
    is_word = match[2].rstrip(".,:;!?)").isalpha()
    return match[0] if is_word else _hide(match)


def _overlap(before: str, after: str) -> int:
    """How many characters end `before` and begin `after`."""
    for size in range(min(len(before), len(after)), 0, -1):
        if before.endswith(after[:size]):
            return size
    return 0


def _is_secret_name(name: str) -> bool:
    return name.lower().replace("_", "-").endswith(_ENDINGS)


def _percent_encoded(text: str) -> str:
    """The text in the percent-encoding of a URL."""
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "-._~") else f"%{c.encode().hex('%').upper()}"
        for c in text
    )


def _decoded(text: str) -> str:
    """The text without the percent-encoding of a URL."""
    first, *parts = text.split("%")
    data = first.encode()
    for part in parts:
        try:
            data += int(part[:2], 16).to_bytes() + part[2:].encode()
        except ValueError:
            data += f"%{part}".encode()
    return data.decode("utf-8", "replace")


def secret_values(environ: Mapping[str, str]) -> list[str]:
    """The values of variables that look secret, and the passwords in URLs."""
    values = []
    for name, value in environ.items():
        logins = (part.partition("/")[0].rpartition("@")[0] for part in value.split("://")[1:])
        values += [login.partition(":")[2] for login in logins]
        shortest = _shortest(name.upper())
        if shortest and len(value) >= shortest:
            values.append(value)
            if "#" in value or value[0] in "\"'":  # what `Settings` makes of it
                parts = (value, value.partition(" #")[0], value.rpartition(" #")[0])
                values += [part.strip("\"' \t") for part in parts]
    return values


def _shortest(name: str) -> int:
    """The length from which on the value of a variable is a secret; 0: never."""
    if name.endswith(_REFERENCES):
        return 0
    if any(part in name for part in _SECRET_NAMES) or name.endswith(_SECRET_ENDINGS):
        return _SHORTEST
    return _SHORTEST_KEY if "KEY" in name else 0
