-- Without the right, a role sees neither the type nor the state of other sessions. Sessions with a
-- database and a user are clients, or parallel workers. pg_blocking_pids() locks the lock table, so
-- it is only called for those that wait. Before PostgreSQL 14, pg_locks has no waitstart.
SELECT pid, usename, application_name, state,
    extract(epoch FROM clock_timestamp() - query_start)::float,
    extract(epoch FROM clock_timestamp() - state_change)::float,
    CASE WHEN wait_event_type = 'Lock' THEN coalesce((
        SELECT extract(epoch FROM clock_timestamp() - min(
            CASE WHEN to_jsonb(l) ? 'waitstart' THEN (to_jsonb(l) ->> 'waitstart')::timestamptz
            ELSE query_start END))::float
        FROM pg_locks l WHERE l.pid = activity.pid AND NOT granted), 0) END,
    CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) END
FROM pg_stat_activity activity
WHERE backend_type = 'client backend'
    OR backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL
