"""URLs of PostgreSQL as applications have them: `postgresql+asyncpg://db/app?ssl=require`.

libpq refuses a URL with a scheme or a parameter that only drivers and frameworks know.
"""

import re

_SCHEME = re.compile(
    r"(jdbc:)?(postgres|postgresql|postgis|pgsql|psql|timescale|timescalegis)(\+\w+)?://", re.I
)
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_MEANINGS = {
    **dict.fromkeys(("true", "1", "on", "yes", "no-verify"), "require"),
    **dict.fromkeys(("false", "0", "off", "no"), "disable"),
    **{mode: mode for mode in _MODES},
}
# What is the application's business, without _ and in lower case: of Prisma, SQLAlchemy, asyncpg,
# Django, Rails, JDBC, node-postgres and pgx.
_APPLICATION = re.compile(
    r"(current)?schema|searchpath|pgbouncer|uselibpqcompat|applicationname|rewritebatchedinserts"
    r"|pool.*|connectionlimit|maxoverflow|echo|connmaxage|connhealthchecks|disableserversidecursors"
    r"|(socket|login|command|connection|connect|query|statement|lock|checkout|idle)?timeout(millis)?"
    r"|maxcached\w*|prepared?(statements?|threshold)\w*|(statement|description)cache\w*"
    r"|defaultqueryexecmode|serversettings|binaryparameters|reapingfrequency|variables|encoding"
    r"|sslaccept|sslidentity|stringtype|asyncfallback"
)
_LIBPQ = ("connect_timeout", "application_name")


def libpq_url(text: str) -> str:
    """The same address for libpq; a text that is no URL of PostgreSQL stays as it is."""
    address, question, query = text.partition("?")
    if not _SCHEME.match(address):
        return text
    address = _SCHEME.sub("postgresql://", address, count=1)
    kept = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        meaning = _MEANINGS.get(value.lower())
        if name in ("ssl", "sslmode") and meaning:
            kept.append(f"sslmode={meaning}")
        elif name in _LIBPQ or not _APPLICATION.fullmatch(re.sub("[_-]", "", name).lower()):
            kept.append(item)
    return address + question + "&".join(kept)


def misfit(text: str, error: Exception) -> str:
    """What libpq does not understand in a URL, "" if that cannot be said without a secret."""
    address, _, query = text.partition("?")
    scheme, separator, _ = address.partition("://")
    if separator and not _SCHEME.match(address):
        return "is not a URL of PostgreSQL" + (f", but of {scheme}" if scheme.isalpha() else "")
    found = re.search(r'invalid URI query parameter: "(\w{1,40})"', str(error))
    # After an @ the parameter may be a part of the password.
    return f"has the unknown parameter {found[1]}" if found and "@" not in query else ""
