-- The fleet database, version 1: the runs of all hosts. The owner runs this in one transaction.
--
-- Times are those of the hosts' clocks, but `received`, which is the server's. Durations are seconds.
-- A result is a letter: s success, r recovers, f fail, h held, b blocked, l lost, g log, k skip.
-- hello_1, take_1 and missing_1 are what shippers call. They stay as they are: what must change gets
-- another number, and a shipper uses those that it knows.

DO $$ DECLARE name text; BEGIN
    FOREACH name IN ARRAY '{hcrun_writer,hcrun_reader}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
END $$;

CREATE SCHEMA hcrun;

CREATE TABLE hcrun.meta (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    zone text NOT NULL,                  -- of the days of rollups
    raw_days integer NOT NULL DEFAULT 14, -- how long runs and readings are kept
    hour_days integer NOT NULL DEFAULT 35,
    day_days integer NOT NULL DEFAULT 400,
    max_bytes bigint                     -- of runs and readings; NULL: no limit
);

CREATE TABLE hcrun.source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal uuid NOT NULL UNIQUE,
    role name NOT NULL,                  -- who may add to it
    host text NOT NULL,
    os_user text NOT NULL,
    cursor bigint NOT NULL DEFAULT 0,    -- the last row of the journal's table `ends` that is here
    last_run uuid,                       -- the run of that row
    clock_ahead real,                    -- seconds that the host's clock is ahead
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE hcrun.checks (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source integer NOT NULL REFERENCES hcrun.source,
    name text NOT NULL,
    identity bigint NOT NULL,            -- a checksum of the ping URL
    title text,
    environment text,
    tier text,
    gap double precision,                -- the longest time between two runs
    grace double precision,
    due timestamptz,                     -- of the next run
    first_started timestamptz,
    UNIQUE (source, name, identity)
) WITH (fillfactor = 60);

-- Reasons and commands, which repeat.
CREATE TABLE hcrun.texts (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
CREATE UNIQUE INDEX ON hcrun.texts (md5(text));

-- By the day of arrival: there is always a partition, and what is old goes with its table.
CREATE TABLE hcrun.run (
    received timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    started timestamptz NOT NULL,
    run_id uuid NOT NULL,
    check_id integer NOT NULL,
    seconds real,
    cpu real,
    memory_kb integer,
    why integer,
    command integer,
    status smallint NOT NULL,
    result "char" NOT NULL
) PARTITION BY RANGE (received);
CREATE INDEX ON hcrun.run (check_id, started);
CREATE INDEX ON hcrun.run (started) WHERE result IN ('f', 'h', 'b', 'l', 'g');
CREATE INDEX ON hcrun.run USING brin (received) WITH (pages_per_range = 32);

CREATE TABLE hcrun.series (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    check_id integer NOT NULL,
    probe text NOT NULL,
    label text NOT NULL,
    unit text NOT NULL,
    warning double precision,
    maximum double precision,
    last timestamptz NOT NULL DEFAULT now(),
    UNIQUE (check_id, probe, label, unit)
);
CREATE TABLE hcrun.reading (
    received timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    value double precision NOT NULL,
    series integer NOT NULL
) PARTITION BY RANGE (received);
CREATE INDEX ON hcrun.reading (series, ended);

-- Sums by hour (h), by day (d) and of all time (a), of the runs that started then. b and n, of days,
-- say how many runs took how long: up to 1.05^b seconds, so a percentile is off by 2.5% at most.
CREATE TABLE hcrun.rollup (
    span "char" NOT NULL,
    begin timestamptz NOT NULL,
    check_id integer NOT NULL,
    s integer NOT NULL, r integer NOT NULL, f integer NOT NULL, h integer NOT NULL,
    bl integer NOT NULL, l integer NOT NULL, g integer NOT NULL, k integer NOT NULL,
    timed integer NOT NULL,
    seconds double precision NOT NULL,
    cpu double precision NOT NULL,
    b smallint[],
    n integer[],
    PRIMARY KEY (begin, check_id, span)
) PARTITION BY LIST (span);
CREATE TABLE hcrun.hour PARTITION OF hcrun.rollup FOR VALUES IN ('h') WITH (fillfactor = 70);
CREATE TABLE hcrun.day PARTITION OF hcrun.rollup FOR VALUES IN ('d') WITH (fillfactor = 50);
CREATE TABLE hcrun.life PARTITION OF hcrun.rollup FOR VALUES IN ('a') WITH (fillfactor = 50);

-- The latest run of each kind: e ended, g good, b bad, d one that decides the state.
CREATE TABLE hcrun.last (
    check_id integer NOT NULL,
    kind "char" NOT NULL,
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    seconds real,
    result "char" NOT NULL,
    why integer,
    status smallint NOT NULL,
    PRIMARY KEY (check_id, kind)
) WITH (fillfactor = 50);

-- A run that ended differently from the one before it, or began long after it.
CREATE TABLE hcrun.change (
    check_id integer NOT NULL,
    before timestamptz,                  -- when the one before started; NULL: it was the first
    started timestamptz NOT NULL,
    ended timestamptz NOT NULL,
    good boolean NOT NULL,
    PRIMARY KEY (check_id, started)
);

-- Maintenance, as in the journals.
CREATE TABLE hcrun.maintenance (
    source integer NOT NULL,
    id bigint NOT NULL,
    check_key text NOT NULL,
    name text NOT NULL,
    began double precision NOT NULL,
    until double precision,
    ended double precision,
    reason text NOT NULL,
    "user" text NOT NULL,
    ours boolean NOT NULL,
    resumed_by_pings boolean NOT NULL,
    PRIMARY KEY (source, id)
);

-- Two hosts may have different checks of one name: then the host is a part of it.
CREATE VIEW hcrun.named AS SELECT k.*, s.host, s.os_user, s.last_seen,
    CASE WHEN min(s.host) OVER same <> max(s.host) OVER same
        AND min(k.identity) OVER same <> max(k.identity) OVER same
        THEN s.host || '/' || k.name ELSE k.name END AS shown
FROM hcrun.checks k JOIN hcrun.source s ON s.id = k.source WINDOW same AS (PARTITION BY k.name);

-- Seconds since a host has shipped, and those that its clock is ahead.
CREATE VIEW hcrun.hosts AS SELECT host, min(extract(epoch FROM now() - last_seen))::float8 AS silent,
    coalesce((array_agg(clock_ahead ORDER BY last_seen DESC))[1], 0)::float8 AS ahead
FROM hcrun.source GROUP BY host;

CREATE FUNCTION hcrun.partition(day date) RETURNS void LANGUAGE plpgsql
SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$
DECLARE kind text; made text; BEGIN
    IF to_regclass(format('hcrun.reading_%s', to_char(day, 'YYYYMMDD'))) IS NOT NULL THEN RETURN; END IF;
    PERFORM pg_advisory_xact_lock(hashtext('hcrun.partition'));
    FOREACH kind IN ARRAY '{run,reading}'::text[] LOOP
        made := format('%s_%s', kind, to_char(day, 'YYYYMMDD'));
        EXECUTE format('CREATE TABLE IF NOT EXISTS hcrun.%I PARTITION OF hcrun.%I FOR VALUES FROM (%L) TO (%L)',
            made, kind, day::timestamptz, (day + 1)::timestamptz);
    END LOOP;
END $$;

-- Adds runs to the sums, or takes them away again (sign -1).
CREATE FUNCTION hcrun.roll(ids integer[], starts timestamptz[], results "char"[], lengths real[], cpus real[], sign integer)
RETURNS void LANGUAGE plpgsql -- which keeps its plan
SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    -- By quarters of an hour first, which are in one day of each time zone: there are few.
    WITH u AS (
        SELECT check_id, date_bin('15 minutes', started, 'epoch') AS at, result, seconds, cpu,
            CASE WHEN result <> 'k' THEN ceil(ln(greatest(seconds, 0.001)) / ln(1.05))::smallint END AS b
        FROM unnest(ids, starts, results, lengths, cpus) v (check_id, started, result, seconds, cpu)
        WHERE check_id IS NOT NULL
    ), sums AS (
        SELECT check_id, at,
            count(*) FILTER (WHERE result = 's') AS s, count(*) FILTER (WHERE result = 'r') AS r,
            count(*) FILTER (WHERE result = 'f') AS f, count(*) FILTER (WHERE result = 'h') AS h,
            count(*) FILTER (WHERE result = 'b') AS bl, count(*) FILTER (WHERE result = 'l') AS l,
            count(*) FILTER (WHERE result = 'g') AS g, count(*) FILTER (WHERE result = 'k') AS k,
            count(b) AS timed, coalesce(sum(seconds::float8) FILTER (WHERE b IS NOT NULL), 0) AS seconds,
            coalesce(sum(cpu::float8), 0) AS cpu
        FROM u GROUP BY 1, 2
    ), spans AS (
        SELECT at, p.* FROM (SELECT DISTINCT at FROM sums) x, hcrun.meta m, LATERAL (VALUES
            ('h'::"char", date_trunc('hour', at)), ('d', date_trunc('day', at, m.zone)), ('a', '-infinity')
        ) p (span, begin)
    ), q AS (
        SELECT span, begin, check_id, array_agg(b) AS b, array_agg(n) AS n FROM (
            SELECT span, begin, check_id, b, sign * count(*)::int AS n
            FROM u JOIN spans USING (at) WHERE b IS NOT NULL AND span = 'd' GROUP BY 1, 2, 3, 4 ORDER BY 4
        ) z GROUP BY 1, 2, 3
    )
    INSERT INTO hcrun.rollup AS t
    SELECT w.*, coalesce(q.b, '{}'), coalesce(q.n, '{}') FROM (
        SELECT span, begin, check_id, sign * sum(s), sign * sum(r), sign * sum(f), sign * sum(h), sign * sum(bl),
            sign * sum(l), sign * sum(g), sign * sum(k), sign * sum(timed), sign * sum(seconds), sign * sum(cpu)
        FROM sums JOIN spans USING (at) GROUP BY 1, 2, 3
    ) w LEFT JOIN q USING (span, begin, check_id)
    ON CONFLICT (span, begin, check_id) DO UPDATE SET
        s = t.s + excluded.s, r = t.r + excluded.r, f = t.f + excluded.f, h = t.h + excluded.h,
        bl = t.bl + excluded.bl, l = t.l + excluded.l, g = t.g + excluded.g, k = t.k + excluded.k,
        timed = t.timed + excluded.timed, seconds = t.seconds + excluded.seconds,
        cpu = t.cpu + excluded.cpu,
        (b, n) = (
            -- Only days have them: an hour of runs is read itself.
            SELECT coalesce(array_agg(z.b ORDER BY z.b), '{}'), coalesce(array_agg(z.n ORDER BY z.b), '{}') FROM (
                SELECT y.b, sum(y.n)::int AS n FROM (
                    SELECT unnest(t.b), unnest(t.n) UNION ALL SELECT unnest(excluded.b), unnest(excluded.n)
                ) y (b, n) GROUP BY y.b HAVING sum(y.n) <> 0
            ) z
        );
END $$;

-- What a shipper calls first. Raises 42501 if the journal or the host is another role's.
CREATE FUNCTION hcrun.hello_1(j uuid, host text, os_user text, clock timestamptz)
RETURNS TABLE (cursor bigint, last_run uuid) LANGUAGE plpgsql SECURITY DEFINER
SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM hcrun.source s WHERE s.host = hello_1.host AND s.role <> session_user) THEN
        RAISE 'the host % belongs to another role', hello_1.host USING ERRCODE = '42501';
    END IF;
    INSERT INTO hcrun.source (journal, role, host, os_user) SELECT j, session_user, left(host, 253), left(os_user, 100)
        WHERE (SELECT count(*) FROM hcrun.source s WHERE s.role = session_user) < 5000
        ON CONFLICT (journal) DO NOTHING;
    UPDATE hcrun.source s SET host = left(hello_1.host, 253), os_user = left(hello_1.os_user, 100), last_seen = now(),
        clock_ahead = extract(epoch FROM clock - clock_timestamp())
        WHERE s.journal = j AND s.role = session_user;
    IF NOT FOUND THEN
        RAISE 'the journal % belongs to another role', j USING ERRCODE = '42501';
    END IF;
    RETURN QUERY SELECT s.cursor, s.last_run FROM hcrun.source s WHERE s.journal = j;
END $$;

-- Which of these runs are not here: a journal that was restored from a copy asks. Of those that ended
-- before the first day that is kept, only the sums are left: they are not missing.
CREATE FUNCTION hcrun.missing_1(j uuid, ids uuid[], ended float8[]) RETURNS uuid[] LANGUAGE sql SECURITY DEFINER
SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$
    WITH kept AS (
        SELECT extract(epoch FROM min(right(relname, 8))::date::timestamptz) AS since
        FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'hcrun.run'::regclass
    )
    SELECT coalesce(array_agg(i ORDER BY o), '{}') FROM unnest(ids, ended) WITH ORDINALITY u (i, e, o), kept
    WHERE e >= since AND NOT EXISTS (
        SELECT FROM hcrun.run r JOIN hcrun.checks k ON k.id = r.check_id JOIN hcrun.source s ON s.id = k.source
        WHERE s.journal = j AND s.role = session_user AND r.run_id = i)
$$;

-- One batch, exactly once: the cursor moves with the rows. Returns the cursor; if it is not
-- `becomes`, another shipper was first. Runs and readings are columns, arrays in their text form:
-- to parse them costs a fifth of what JSON does. References are positions from 1 on.
CREATE FUNCTION hcrun.take_1(j uuid, was bigint, becomes bigint, batch jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s hcrun.source; known integer[]; words integer[]; ours integer[];
    c integer[] := (batch #>> '{runs,c}')::integer[];       -- of each run: its check,
    starts timestamptz[]; ends timestamptz[];
    lengths real[] := (batch #>> '{runs,d}')::real[];       -- seconds, of its CPU too,
    cpus real[] := (batch #>> '{runs,cpu}')::real[];
    whys integer[] := (batch #>> '{runs,w}')::integer[];    -- its reason,
    statuses smallint[] := (batch #>> '{runs,q}')::smallint[];
    results "char"[] := (batch #>> '{runs,r}')::"char"[];
    ids integer[];                                          -- and the id of its check; NULL: left out
    gone integer[]; gone_starts timestamptz[]; gone_results "char"[]; gone_lengths real[]; gone_cpus real[];
    oldest float8 := extract(epoch FROM now() - interval '400 days');
    newest float8 := extract(epoch FROM now() + interval '5 minutes');
BEGIN
    SELECT * INTO s FROM hcrun.source x WHERE x.journal = j AND x.role = session_user FOR UPDATE;
    IF NOT FOUND THEN RAISE 'unknown journal %', j USING ERRCODE = '42501'; END IF;
    IF s.cursor <> was THEN RETURN s.cursor; END IF;
    IF becomes < was OR cardinality(c) > 2000 OR length(batch #>> '{readings,v}') > 2000000
        OR jsonb_array_length(batch->'checks') > 2000 OR jsonb_array_length(batch->'windows') > 1000
    THEN RAISE 'the batch is too large' USING ERRCODE = '54000'; END IF;
    IF EXISTS (SELECT FROM unnest(results) x WHERE x NOT IN ('s', 'r', 'f', 'h', 'b', 'l', 'g', 'k')) THEN
        RAISE 'unknown result' USING ERRCODE = '22023';
    END IF;
    PERFORM hcrun.partition((now() AT TIME ZONE 'UTC')::date);

    INSERT INTO hcrun.maintenance AS m SELECT s.id, w.id, left(w.check_key, 100), left(w.name, 200), w.began, w.until,
        w.ended, left(w.reason, 500), left(w."user", 100), w.ours, w.resumed_by_pings
        FROM jsonb_populate_recordset(NULL::hcrun.maintenance, batch->'windows') w
        ON CONFLICT (source, id) DO UPDATE SET until = excluded.until, ended = excluded.ended, reason = excluded.reason
        WHERE (m.until, m.ended, m.reason) IS DISTINCT FROM (excluded.until, excluded.ended, excluded.reason);

    -- A time that no clock of today shows, in 1971 or in 2100, becomes the time of arrival.
    starts := ARRAY(SELECT CASE WHEN x BETWEEN oldest AND newest THEN to_timestamp(x) ELSE now() END
        FROM unnest((batch #>> '{runs,s}')::float8[]) x);
    ends := ARRAY(SELECT CASE WHEN x BETWEEN oldest AND newest THEN to_timestamp(x) ELSE now() END
        FROM unnest((batch #>> '{runs,e}')::float8[]) x);

    -- Too many checks or series of one journal are left out; an error would stop it for good.
    INSERT INTO hcrun.checks AS k (source, name, identity, title, environment, tier, gap, grace, due, first_started)
        SELECT s.id, left(x.name, 200), x.identity, left(x.title, 200), left(x.environment, 100), left(x.tier, 100),
            x.gap, x.grace, to_timestamp(x.due), starts[x.first]
        FROM jsonb_to_recordset(batch->'checks') x (name text, identity bigint, title text, environment text, tier text,
            gap float8, grace float8, due float8, first integer)
        WHERE (SELECT count(*) FROM hcrun.checks y WHERE y.source = s.id) < 2000 OR EXISTS (
            SELECT FROM hcrun.checks y WHERE y.source = s.id AND y.name = left(x.name, 200) AND y.identity = x.identity)
        ON CONFLICT (source, name, identity) DO UPDATE SET title = excluded.title, environment = excluded.environment,
            tier = excluded.tier, gap = excluded.gap, grace = excluded.grace, due = coalesce(excluded.due, k.due),
            first_started = least(k.first_started, excluded.first_started);
    SELECT array_agg(k.id ORDER BY o.n) INTO known FROM jsonb_array_elements(batch->'checks') WITH ORDINALITY o (v, n)
        LEFT JOIN hcrun.checks k ON k.source = s.id AND k.name = left(o.v->>'name', 200)
            AND k.identity = (o.v->>'identity')::bigint;
    ids := ARRAY(SELECT known[x] FROM unnest(c) x);
    INSERT INTO hcrun.texts (text) SELECT left(t, 600) FROM jsonb_array_elements_text(batch->'texts') t
        WHERE NOT EXISTS (SELECT FROM hcrun.texts x WHERE md5(x.text) = md5(left(t, 600))) ON CONFLICT DO NOTHING;
    SELECT array_agg(x.id ORDER BY o.n) INTO words FROM jsonb_array_elements_text(batch->'texts')
        WITH ORDINALITY o (t, n) LEFT JOIN hcrun.texts x ON md5(x.text) = md5(left(o.t, 600));

    -- A run whose result has changed, as one that was lost and then found, replaces itself.
    IF jsonb_array_length(batch->'again') > 0 THEN
        WITH old AS (
            DELETE FROM hcrun.run r USING jsonb_array_elements_text(batch->'again') a
            WHERE r.check_id = ANY(known) AND r.run_id = a::uuid RETURNING r.*
        ) SELECT array_agg(check_id), array_agg(started), array_agg(result), array_agg(seconds), array_agg(cpu)
            INTO gone, gone_starts, gone_results, gone_lengths, gone_cpus FROM old;
        PERFORM hcrun.roll(gone, gone_starts, gone_results, gone_lengths, gone_cpus, -1);
        DELETE FROM hcrun.last t USING unnest(gone, gone_starts) g (check_id, started)
            WHERE t.check_id = g.check_id AND t.started = g.started;
        DELETE FROM hcrun.change t USING unnest(gone, gone_starts) g (check_id, started)
            WHERE t.check_id = g.check_id AND t.started = g.started;
    END IF;

    INSERT INTO hcrun.run (received, ended, started, run_id, check_id, seconds, cpu, memory_kb, why, command, status, result)
        SELECT now(), u.e, u.s, u.i, u.id, u.d, u.cpu, u.m, words[u.w], words[u.x], u.q, u.r
        FROM unnest(ends, starts, (batch #>> '{runs,i}')::uuid[], ids, lengths, cpus, (batch #>> '{runs,m}')::integer[],
            whys, (batch #>> '{runs,x}')::integer[], statuses, results) u (e, s, i, id, d, cpu, m, w, x, q, r)
        WHERE u.id IS NOT NULL;
    PERFORM hcrun.roll(ids, starts, results, lengths, cpus, 1);
    -- Of each check the first run, and those that differ from the run b before them in this batch.
    INSERT INTO hcrun.change AS t SELECT DISTINCT ON (ids[x.n], starts[x.n])
        ids[x.n], coalesce(starts[x.b], l.started), starts[x.n], ends[x.n], results[x.n] = 's'
        FROM unnest((batch #>> '{changes,n}')::integer[], (batch #>> '{changes,b}')::integer[]) x (n, b)
        JOIN hcrun.checks k ON k.id = ids[x.n]
        LEFT JOIN hcrun.last l ON x.b IS NULL AND l.check_id = ids[x.n] AND l.kind = 'd'
        WHERE coalesce(starts[x.b], l.started) IS NULL OR (results[x.n] = 's') <> (coalesce(results[x.b], l.result) = 's')
            OR extract(epoch FROM starts[x.n] - coalesce(starts[x.b], l.started)) > k.gap
        ORDER BY ids[x.n], starts[x.n], x.n DESC
        ON CONFLICT (check_id, started) DO UPDATE SET good = excluded.good, ended = excluded.ended;
    INSERT INTO hcrun.last AS t
        SELECT ids[x.n], x.k, starts[x.n], ends[x.n], lengths[x.n], results[x.n], words[whys[x.n]], statuses[x.n]
        FROM unnest((batch #>> '{last,k}')::"char"[], (batch #>> '{last,n}')::integer[]) x (k, n) WHERE ids[x.n] IS NOT NULL
        ON CONFLICT (check_id, kind) DO UPDATE SET started = excluded.started, ended = excluded.ended,
            seconds = excluded.seconds, result = excluded.result, why = excluded.why, status = excluded.status
        WHERE excluded.started >= t.started;

    INSERT INTO hcrun.series AS t (check_id, probe, label, unit, warning, maximum)
        SELECT known[x.c], left(x.p, 100), left(x.l, 200), left(x.u, 20), x.w, x.m
        FROM jsonb_to_recordset(batch->'series') x (c int, p text, l text, u text, w float8, m float8)
        WHERE known[x.c] IS NOT NULL AND (SELECT count(*) FROM hcrun.series y WHERE y.check_id = known[x.c]) < 1000
        ON CONFLICT (check_id, probe, label, unit) DO UPDATE SET warning = excluded.warning, maximum = excluded.maximum,
            last = now() WHERE t.last < now() - interval '1 hour'
            OR (t.warning, t.maximum) IS DISTINCT FROM (excluded.warning, excluded.maximum);
    SELECT array_agg(t.id ORDER BY o.n) INTO ours FROM jsonb_array_elements(batch->'series') WITH ORDINALITY o (v, n)
        LEFT JOIN hcrun.series t ON t.check_id = known[(o.v->>'c')::int] AND t.probe = left(o.v->>'p', 100)
            AND t.label = left(o.v->>'l', 200) AND t.unit = left(o.v->>'u', 20);
    INSERT INTO hcrun.reading SELECT now(), ends[x.r], x.v, ours[x.s]
        FROM unnest((batch #>> '{readings,s}')::integer[], (batch #>> '{readings,r}')::integer[],
            (batch #>> '{readings,v}')::float8[]) x (s, r, v)
        WHERE ours[x.s] IS NOT NULL AND ends[x.r] IS NOT NULL;

    UPDATE hcrun.source x SET cursor = becomes, last_seen = now(),
        last_run = coalesce((batch->>'last_run')::uuid, x.last_run) WHERE x.id = s.id;
    RETURN becomes;
END $$;

-- What is gone: a host with all that it has shipped. Its runs are no longer shown, and go with their days.
CREATE FUNCTION hcrun.forget(name text) RETURNS integer LANGUAGE plpgsql
SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$
DECLARE ids integer[]; these integer[]; kind text; BEGIN
    LOCK TABLE hcrun.source IN EXCLUSIVE MODE;
    SELECT array_agg(id) INTO these FROM hcrun.source WHERE host = name;
    SELECT array_agg(id) INTO ids FROM hcrun.checks WHERE source = ANY(these);
    FOREACH kind IN ARRAY '{rollup,last,change,series}'::text[] LOOP
        EXECUTE format('DELETE FROM hcrun.%I WHERE check_id = ANY($1)', kind) USING ids;
    END LOOP;
    DELETE FROM hcrun.maintenance WHERE source = ANY(these);
    DELETE FROM hcrun.checks WHERE source = ANY(these);
    DELETE FROM hcrun.source WHERE id = ANY(these);
    RETURN coalesce(cardinality(these), 0);
END $$;

-- Deletes what is older than meta says, and the oldest days beyond max_bytes; returns the tables.
CREATE FUNCTION hcrun.prune() RETURNS SETOF text LANGUAGE plpgsql
SET timezone = 'UTC' SET jit = off SET search_path = pg_catalog, pg_temp AS $$
DECLARE m hcrun.meta; part record; size bigint; day date; today date := (now() AT TIME ZONE 'UTC')::date; BEGIN
    SELECT * INTO m FROM hcrun.meta;
    FOR ahead IN 0..2 LOOP PERFORM hcrun.partition(today + ahead); END LOOP;
    FOR day IN SELECT DISTINCT right(c.relname, 8)::date FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('hcrun.run'::regclass, 'hcrun.reading'::regclass) ORDER BY 1
    LOOP
        SELECT sum(pg_total_relation_size(inhrelid)) INTO size FROM pg_inherits
            WHERE inhparent IN ('hcrun.run'::regclass, 'hcrun.reading'::regclass);
        EXIT WHEN day >= today OR NOT (day < today - m.raw_days OR coalesce(size > m.max_bytes, false));
        EXECUTE format('DROP TABLE hcrun.%I, hcrun.%I', 'run_' || to_char(day, 'YYYYMMDD'), 'reading_' || to_char(day, 'YYYYMMDD'));
        RETURN NEXT to_char(day, 'YYYY-MM-DD');
    END LOOP;
    DELETE FROM hcrun.hour WHERE begin < now() - make_interval(days => m.hour_days);
    DELETE FROM hcrun.day WHERE begin < now() - make_interval(days => m.day_days);
    DELETE FROM hcrun.change WHERE started < now() - make_interval(days => m.day_days);
    DELETE FROM hcrun.series WHERE last < now() - make_interval(days => m.raw_days + 1);
    PERFORM hcrun.forget(host) FROM hcrun.source GROUP BY host HAVING max(last_seen) < now() - make_interval(days => m.day_days);
    LOCK TABLE hcrun.source IN EXCLUSIVE MODE; -- no shipper refers to a text meanwhile
    DELETE FROM hcrun.texts t WHERE NOT EXISTS (SELECT FROM hcrun.last x WHERE x.why = t.id) AND t.id NOT IN (
        SELECT why FROM hcrun.run WHERE why IS NOT NULL UNION SELECT command FROM hcrun.run WHERE command IS NOT NULL);
END $$;

-- To compile the plan of a user's query of this view takes longer than to run it.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$;

CREATE VIEW healthchecks_metrics AS
WITH week AS ( -- whole days, and the hours of the first one
    SELECT date_trunc('hour', now() - interval '7 days') AS since,
        date_trunc('day', now() - interval '6 days', zone) AS midnight FROM hcrun.meta
), sums AS (
    SELECT check_id, sum(good) AS good, sum(bad) AS bad FROM (
        SELECT check_id, s + r AS good, f + h + bl + l AS bad FROM hcrun.hour, week WHERE begin >= since AND begin < midnight
        UNION ALL SELECT check_id, s + r, f + h + bl + l FROM hcrun.day, week WHERE begin >= midnight
    ) t GROUP BY 1
), errors AS (
    SELECT check_id, count(*) AS errors FROM hcrun.run
    WHERE result IN ('f', 'h', 'b', 'l', 'g') AND result <> 'g' AND started >= now() - interval '1 day' GROUP BY 1
), answers AS (
    SELECT x.check_id, sum(v.value) AS seconds, count(*) AS answers FROM hcrun.reading v JOIN hcrun.series x ON x.id = v.series
    WHERE v.received >= now() - interval '2 hours' AND v.ended >= now() - interval '1 hour'
    AND x.unit = 'seconds' AND x.label ~ '^(latency|time|rta)(_|$)' GROUP BY 1
), paused AS (
    SELECT DISTINCT source, name, true AS paused FROM hcrun.maintenance WHERE ended IS NULL
    AND coalesce(until > extract(epoch FROM now()), true)
), known AS (
    SELECT k.*, d.ended AS last_ping, d.result, least(now(), k.last_seen) AS told, p.paused,
        sum(s.good) OVER own AS good, sum(s.bad) OVER own AS bad, sum(e.errors) OVER own AS errors,
        sum(a.seconds) OVER own AS seconds, sum(a.answers) OVER own AS answers,
        row_number() OVER (own ORDER BY d.ended DESC NULLS LAST) AS n
    FROM hcrun.named k LEFT JOIN hcrun.last d ON d.check_id = k.id AND d.kind = 'd'
    LEFT JOIN sums s ON s.check_id = k.id LEFT JOIN errors e ON e.check_id = k.id
    LEFT JOIN answers a ON a.check_id = k.id LEFT JOIN paused p ON p.source = k.source AND p.name = k.name
    WINDOW own AS (PARTITION BY k.shown)
)
SELECT coalesce(title, name) AS service_name,
    CASE WHEN paused THEN 'paused' WHEN last_ping IS NULL THEN 'new' WHEN result <> 's' THEN 'down'
        WHEN due + make_interval(secs => grace) < told THEN 'down' WHEN due < told THEN 'grace'
        -- Its run is overdue, and its host has told nothing since: it is not known.
        WHEN due + make_interval(secs => grace) + interval '15 minutes' < now() THEN 'silent'
        ELSE 'up' END AS status,
    last_ping,
    extract(epoch FROM now() - last_ping)::float8 AS seconds_since_ping,
    (good / nullif(good + bad, 0))::float8 AS success_rate_7d,
    seconds / nullif(answers, 0)::float8 AS avg_response_time_1h,
    coalesce(errors, 0)::bigint AS error_count_24h,
    environment,
    tier,
    shown AS slug,
    host,
    last_seen AS host_last_seen
FROM known WHERE n = 1;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA hcrun FROM PUBLIC;
GRANT USAGE ON SCHEMA hcrun TO hcrun_writer, hcrun_reader;
GRANT EXECUTE ON FUNCTION hcrun.hello_1, hcrun.take_1, hcrun.missing_1 TO hcrun_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA hcrun TO hcrun_reader;
GRANT SELECT ON healthchecks_metrics TO hcrun_reader;
