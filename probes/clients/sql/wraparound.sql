SELECT datname, greatest(age(datfrozenxid), mxid_age(datminmxid)) AS oldest
FROM pg_database ORDER BY oldest DESC LIMIT 1
