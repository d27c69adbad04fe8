SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum'))
FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
