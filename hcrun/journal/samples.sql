-- Runs of the checks @checks@ from ?1 to ?2, by their ends: the last one of each of ?4
-- slots of ?3 seconds, found by one index lookup each, and the ?5 last ones.
WITH RECURSIVE slots (number) AS (
    VALUES (0) UNION ALL SELECT number + 1 FROM slots WHERE number < ?4)
SELECT c.id, r.id, r.ended, r.duration, r.result FROM checks c CROSS JOIN slots
JOIN runs r ON r.id = (
    SELECT id FROM runs WHERE check_id = c.id AND ended >= ?1 + number * ?3
    AND ended < ?1 + (number + 1) * ?3 ORDER BY ended DESC LIMIT 1)
WHERE c.id IN (@checks@)
UNION
SELECT c.id, r.id, r.ended, r.duration, r.result FROM checks c JOIN runs r ON r.id IN (
    SELECT id FROM runs WHERE check_id = c.id AND ended >= ?1 AND ended < ?2 + ?3
    ORDER BY ended DESC LIMIT ?5)
WHERE c.id IN (@checks@)
ORDER BY 3
