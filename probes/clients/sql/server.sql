-- pg_settings: a setting of the probe's own role or connection says nothing about others.
SELECT current_user, current_database(), pg_is_in_recovery(),
    pg_has_role('pg_read_all_stats', 'USAGE'),
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0),
    (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'
        AND setting = 'on' AND source !~ 'user|client|session'),
    current_setting('synchronous_standby_names') <> ''
        AND current_setting('synchronous_commit') NOT IN ('off', 'local')
