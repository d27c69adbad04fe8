-- The tables of a new journal. Times are seconds since the epoch, durations seconds, sizes bytes.
CREATE TABLE checks (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,         -- its name for people
    identity INTEGER NOT NULL,  -- the same for all names of one ping URL; a checksum of it
    server TEXT NOT NULL DEFAULT '', -- scheme and host of the ping URL; '': it is not pinged
    UNIQUE (identity, name)
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,     -- also the byte of the lock file
    check_id INTEGER NOT NULL REFERENCES checks (id),
    run_id TEXT NOT NULL,       -- UUID; the rid of its pings
    pid INTEGER NOT NULL,
    started REAL NOT NULL,
    ended REAL,                 -- NULL while it is in progress
    duration REAL,              -- NULL if its hcrun vanished
    status INTEGER NOT NULL DEFAULT 0,
    cpu_user REAL NOT NULL DEFAULT 0,
    cpu_system REAL NOT NULL DEFAULT 0,
    memory INTEGER NOT NULL DEFAULT 0,
    result TEXT,                -- see hcrun.results
    why TEXT,
    command TEXT NOT NULL,
    user TEXT NOT NULL,
    delivery TEXT               -- see hcrun.results; NULL: nothing to deliver
);
CREATE INDEX runs_by_check ON runs (check_id, ended);
-- Queries over many runs read these indexes, and few rows.
CREATE INDEX runs_by_start ON runs (check_id, started, result, duration, ended);
CREATE INDEX runs_bad ON runs (check_id, started) WHERE result IN ('fail', 'held', 'blocked', 'lost');
CREATE INDEX runs_open ON runs (id) WHERE ended IS NULL;
CREATE INDEX runs_pending ON runs (check_id, ended) WHERE delivery = 'pending';
CREATE TABLE outputs (
    id INTEGER PRIMARY KEY REFERENCES runs (id),
    head TEXT NOT NULL,
    omitted INTEGER NOT NULL,
    tail TEXT NOT NULL
);
-- All runs ever, the pruned ones too: a counter must never count down.
CREATE TABLE totals (
    check_id INTEGER NOT NULL REFERENCES checks (id),
    result TEXT NOT NULL,
    runs INTEGER NOT NULL,
    newest INTEGER NOT NULL,    -- the row of the run that was recorded last
    PRIMARY KEY (check_id, result)
) WITHOUT ROWID;
CREATE TRIGGER runs_counted AFTER UPDATE OF result ON runs WHEN old.result IS NULL BEGIN
    INSERT INTO totals (check_id, result, runs, newest)
    VALUES (new.check_id, new.result, 1, new.id)
    ON CONFLICT (check_id, result) DO UPDATE SET runs = runs + 1, newest = max(newest, new.id);
END;
CREATE TABLE maintenance (      -- see hcrun.journal.maintenance
    id INTEGER PRIMARY KEY,
    check_key TEXT NOT NULL,    -- the server's unique key; not a secret
    name TEXT NOT NULL,         -- the slug of the check, else its name
    began REAL NOT NULL,
    until REAL,                 -- as planned; NULL: until somebody ends it
    ended REAL,                 -- NULL while it is in progress
    reason TEXT NOT NULL,
    user TEXT NOT NULL,
    ours INTEGER NOT NULL,      -- 0: the check was paused before, and stays so
    resumed_by_pings INTEGER NOT NULL
);
CREATE TABLE limits (base TEXT PRIMARY KEY, bytes INTEGER NOT NULL); -- Ping-Body-Limit
