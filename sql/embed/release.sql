-- Gives rows back: $1 integer table, $2 bytea[] keys, $3 bigint owner, $4 bigint pause in milliseconds.
update pgflight.embed_state
set state = 0, lease_owner = null, lease_until = null,
    not_before = pg_catalog.clock_timestamp() + $4 * interval '1 millisecond'
where table_id = $1 and row_key = any ($2) and lease_owner = $3 and state = 1
