-- The view healthchecks_metrics on the database of a Healthchecks server.
--
-- It selects from a function whose text names the server's tables. A view of the tables themselves
-- would keep the server's next migration from altering them, and so the server from starting.
-- The function runs with the rights of its owner, so that the role healthchecks_reader can read the
-- view but no table: the tables contain keys, addresses and request bodies.
--
-- search_path must be the schema of the server's tables, then pg_temp; the function keeps it.

DO $$ BEGIN
    IF EXISTS (
        SELECT FROM pg_class WHERE oid = to_regclass('healthchecks_metrics')
        AND NOT starts_with(coalesce(obj_description(oid, 'pg_class'), ''), 'made by hcctl view')
    ) THEN
        RAISE 'healthchecks_metrics exists and was not created by hcctl';
    END IF;
END $$;

DO $$ BEGIN
    CREATE ROLE healthchecks_reader NOLOGIN;
EXCEPTION WHEN duplicate_object THEN
    NULL;
END $$;

DROP VIEW IF EXISTS healthchecks_metrics;
DROP FUNCTION IF EXISTS healthchecks_metrics_rows();

CREATE FUNCTION healthchecks_metrics_rows() RETURNS TABLE (
    service_name text,
    status text,
    last_ping timestamptz,
    seconds_since_ping double precision,
    success_rate_7d double precision,
    avg_response_time_1h double precision,
    error_count_24h bigint,
    environment text,
    tier text,
    project text,
    slug text,
    tenant text,
    avg_duration_1h double precision,
    success_rate_known double precision,
    known_from timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $hcrun$
-- The start of a run has the rid of its end, or neither has one, and no other end is between them.
-- The server looks back for three days. It keeps about the last 100 pings: see known_from.
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
), bodies AS (
    -- What is not UTF-8 stays as \ooo: no body makes the view fail.
    SELECT owner_id, string_to_array(encode(body_raw, 'escape'), '|') AS parts
    FROM api_ping WHERE created > now() - interval '1 hour' AND (kind IS NULL OR kind = 'fail')
), responses AS (
    -- Perfdata follows the last | of a body, if a probe's verdict precedes it in the line.
    SELECT owner_id,
        avg(item[1]::float8 * CASE item[2] WHEN 'ms' THEN 1e-3 WHEN 'us' THEN 1e-6 ELSE 1 END) AS mean
    FROM bodies, string_to_array(parts[cardinality(parts) - 1], E'\n') AS lines, regexp_matches(
        split_part(parts[cardinality(parts)], E'\n', 1),
        '(?:^| )''?(?:latency|time|rta)(?:_[^=]*)?'
        '=([0-9]{1,9}(?:\.[0-9]{1,15})?(?:e-?[0-9]{1,2})?)(us|ms|s)(?:[;[:space:]]|$)', 'g'
    ) AS item
    WHERE lines[cardinality(lines)] ~ '\m(?:OK|WARNING|CRITICAL|UNKNOWN)\M'
    GROUP BY owner_id
), checks AS (
    SELECT c.*, k.whole, CASE WHEN k.whole OR k.since IS NULL THEN c.created ELSE k.since END
        AS known_from, t.*, p.name AS project
    FROM api_check c LEFT JOIN kept k ON k.owner_id = c.id
    LEFT JOIN accounts_project p ON p.id = c.project_id
    CROSS JOIN LATERAL (
        SELECT min(substr(word, 10)) FILTER (WHERE word LIKE 'severity:_%') AS severity,
            min(substr(word, 5)) FILTER (WHERE word LIKE 'env:_%') AS environment,
            min(substr(word, 6)) FILTER (WHERE word LIKE 'tier:_%') AS tier,
            min(substr(word, 8)) FILTER (WHERE word LIKE 'tenant:_%') AS tenant
        FROM unnest(string_to_array(c.tags, ' ')) AS word
    ) t
)
-- hcctl sync puts severity and environment before the name.
SELECT coalesce(
        nullif(
            CASE WHEN starts_with(c.name, format('[%s] ', concat_ws(' ', c.severity, c.environment)))
                THEN substr(c.name, strpos(c.name, '] ') + 2) ELSE c.name END, ''
        ), nullif(c.slug, ''), 'unnamed ' || c.id
    )::text,
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
    r.mean,
    CASE WHEN c.whole OR c.known_from <= now() - interval '1 day' THEN coalesce(n.errors, 0) END,
    c.environment,
    c.tier,
    c.project::text,
    c.slug::text,
    coalesce(c.tenant, substring(c.slug FROM '^tenant-(.+)')),
    n.seconds,
    n.rate,
    c.known_from
FROM checks c LEFT JOIN counts n ON n.owner_id = c.id LEFT JOIN responses r ON r.owner_id = c.id
$hcrun$;

CREATE VIEW healthchecks_metrics AS SELECT * FROM healthchecks_metrics_rows();

REVOKE ALL ON FUNCTION healthchecks_metrics_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION healthchecks_metrics_rows() TO healthchecks_reader;
GRANT SELECT ON healthchecks_metrics TO healthchecks_reader;
DO $$ BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO healthchecks_reader', current_schema());
END $$;
