"""The SQL of `healthchecks_metrics`, a view on the database of a Healthchecks server. Pure.

It is a view of a function, whose text names the server's tables: a view of the tables themselves
would keep the server's next migration from altering them, and so the server from starting. The
function runs with the rights of who installed it, so that the role `healthchecks_reader` sees the
view and no table: those have keys, addresses and bodies in them.
"""

from __future__ import annotations

import hashlib

from hcrun.catalog import ENVIRONMENT_TAG, TIER_TAG

NAME = "healthchecks_metrics"
READER = "healthchecks_reader"
COLUMNS = {
    "service_name": "text",
    "status": "text",
    "last_ping": "timestamptz",
    "seconds_since_ping": "double precision",
    "success_rate_7d": "double precision",
    "avg_response_time_1h": "double precision",
    "error_count_24h": "bigint",
    "environment": "text",
    "tier": "text",
    "success_rate_known": "double precision",
    "known_from": "timestamptz",
}
# What is read of the server's tables, with the types of information_schema.
_TEXT, _TIME, _SPAN = "character varying", "timestamp with time zone", "interval"
TABLES = {
    "api_check": {
        "id": "integer",
        "kind": _TEXT,
        "name": _TEXT,
        "slug": _TEXT,
        "tags": _TEXT,
        "status": _TEXT,
        "created": _TIME,
        "last_ping": _TIME,
        "last_start": _TIME,
        "alert_after": _TIME,
        "timeout": _SPAN,
        "grace": _SPAN,
    },
    "api_ping": {
        "id": "bigint",
        "owner_id": "integer",
        "n": "integer",
        "created": _TIME,
        "kind": _TEXT,
        "rid": "uuid",
    },
}
OLDEST = "0120_fix_ping_kind"  # since when a success has no kind
NEWEST = "0123_alter_channel_kind"  # of Healthchecks v4.3, with which all this was tried

MARK = "made by hcctl view install, version "
CREATE_READER = (
    "DO $$ BEGIN CREATE ROLE " + READER + " NOLOGIN;"
    " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
)

# A run's start has its end's rid, or neither has one, and no other end is between them; the server
# looks back for three days. Of pings it keeps the last 100 or so, see known_from.
_QUERY = f"""
WITH events AS (
    SELECT owner_id, kind, created,
        lag(kind) OVER run AS kind_before, lag(created) OVER run AS created_before
    FROM api_ping WHERE kind IS NULL OR kind IN ('start', 'fail')
    WINDOW run AS (PARTITION BY owner_id, rid ORDER BY id)
), ends AS (
    SELECT owner_id, created, kind IS NULL AS good,
        CASE WHEN kind_before = 'start' AND created - created_before < interval '72 hours'
            THEN extract(epoch FROM created - created_before)::float8 END AS seconds
    FROM events WHERE kind IS DISTINCT FROM 'start'
), kept AS (
    SELECT owner_id, min(n) = 1 AS whole, min(created) AS since FROM api_ping GROUP BY owner_id
), counts AS (
    SELECT owner_id, avg(good::int)::float8 AS rate,
        avg(good::int) FILTER (WHERE created > now() - interval '7 days')::float8 AS week,
        count(*) FILTER (WHERE NOT good AND created > now() - interval '1 day') AS errors,
        avg(seconds) FILTER (WHERE created > now() - interval '1 hour')::float8 AS seconds
    FROM ends GROUP BY owner_id
), checks AS (
    SELECT c.*, k.whole, CASE WHEN k.whole OR k.since IS NULL THEN c.created ELSE k.since END
        AS known_from, string_to_array(c.tags, ' ') AS words
    FROM api_check c LEFT JOIN kept k ON k.owner_id = c.id
)
SELECT coalesce(nullif(c.name, ''), nullif(c.slug, ''), 'unnamed ' || c.id)::text,
    CASE
        WHEN c.last_start + c.grace <= now() THEN 'down'
        WHEN c.status <> 'up' THEN c.status
        WHEN c.alert_after <= now() THEN 'down'
        WHEN c.kind = 'simple' AND c.last_ping + c.timeout <= now() THEN 'grace'
        WHEN c.last_start IS NULL AND c.alert_after - c.grace <= now() THEN 'grace'
        ELSE 'up'
    END::text,
    c.last_ping,
    extract(epoch FROM now() - c.last_ping)::float8,
    CASE WHEN c.whole OR c.known_from <= now() - interval '7 days' THEN n.week END,
    n.seconds,
    CASE WHEN c.whole OR c.known_from <= now() - interval '1 day' THEN coalesce(n.errors, 0) END,
    (SELECT min(substr(word, {len(ENVIRONMENT_TAG) + 1})) FROM unnest(c.words) AS word
        WHERE word LIKE '{ENVIRONMENT_TAG}_%'),
    (SELECT min(substr(word, {len(TIER_TAG) + 1})) FROM unnest(c.words) AS word
        WHERE word LIKE '{TIER_TAG}_%'),
    n.rate,
    c.known_from
FROM checks c LEFT JOIN counts n ON n.owner_id = c.id
"""  # noqa: S608 - constants


def statements(schema: str) -> list[str]:
    """What `install` runs, in one transaction; `schema` is where the server's tables are."""
    where = quoted(schema)
    names = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    rows = f"{where}.{NAME}_rows()"
    function = (
        f"CREATE FUNCTION {rows} RETURNS TABLE ({names})\nLANGUAGE sql STABLE SECURITY DEFINER"
        f" SET search_path = pg_catalog, {where}, pg_temp AS $hcrun${_QUERY}$hcrun$"
    )
    return [
        f"DROP VIEW IF EXISTS {where}.{NAME}",
        f"DROP FUNCTION IF EXISTS {rows}",
        function,
        f"CREATE VIEW {where}.{NAME} AS SELECT * FROM {rows}",  # noqa: S608 - constants
        f"COMMENT ON VIEW {where}.{NAME} IS '{MARK}{version()}'",
        f"REVOKE ALL ON FUNCTION {rows} FROM PUBLIC",
        f"GRANT EXECUTE ON FUNCTION {rows} TO {READER}",
        f"GRANT SELECT ON {where}.{NAME} TO {READER}",
        f"GRANT USAGE ON SCHEMA {where} TO {READER}",
    ]


def script(schema: str) -> str:
    """What `install` does, for psql: all or nothing, and no view but ours is dropped."""
    refuse = (
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('{schema}.{NAME}')"
        f" AND NOT starts_with(coalesce(obj_description(oid, 'pg_class'), ''), '{MARK}')) THEN"
        f" RAISE '{NAME} is there already, and hcctl did not make it'; END IF; END $$"
    )
    return ";\n".join(["BEGIN", refuse, CREATE_READER, *statements(schema), "COMMIT"]) + ";"


def version() -> str:
    return hashlib.sha256(f"{COLUMNS}{_QUERY}".encode()).hexdigest()[:12]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
