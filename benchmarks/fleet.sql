-- Each host's checks are its own: their names are HOST/NAME.
UPDATE hcrun.checks SET identity = id;
-- A week of sums by hour and two months of sums by day, for each check: like the present ones.
INSERT INTO hcrun.rollup
SELECT h.span, h.begin, t.check_id, t.s, t.r, t.f, t.h, t.bl, t.l, t.g, t.k, t.timed, t.seconds, t.cpu, t.b, t.n
FROM (SELECT DISTINCT ON (check_id) * FROM hcrun.day ORDER BY check_id, timed DESC) t, (
    SELECT 'h'::"char" AS span, date_trunc('hour', now()) - make_interval(hours => n) AS begin
    FROM generate_series(6, 170) n
    UNION ALL SELECT 'd', date_trunc('day', now()) - make_interval(days => n) FROM generate_series(2, 60) n
) h
ON CONFLICT DO NOTHING;
VACUUM ANALYZE;
