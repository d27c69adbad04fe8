SELECT slot_name, active,
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn() END, restart_lsn)::bigint,
    to_jsonb(slot) ->> 'wal_status'
FROM pg_replication_slots slot
