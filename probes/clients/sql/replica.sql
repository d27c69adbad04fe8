SELECT pg_last_wal_receive_lsn() IS NOT NULL, EXISTS (SELECT FROM pg_stat_wal_receiver),
    pg_is_wal_replay_paused(),
    CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float
