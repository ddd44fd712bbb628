-- Makes rows pending that were given up: $1 integer table, $2 text code or null for all.
update pgflight.embed_state
set state = 0, attempts = 0, not_before = pg_catalog.clock_timestamp(), gen = gen + 1,
    err_code = null, err_msg = null, err_at = null
where table_id = $1 and state = 3 and ($2::text is null or err_code = $2)
