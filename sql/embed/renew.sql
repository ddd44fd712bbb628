-- Keeps what a worker holds: $1 bigint owner, $2 bigint lease in milliseconds.
update pgflight.embed_state
set lease_until = pg_catalog.clock_timestamp() + $2 * interval '1 millisecond'
where lease_owner = $1 and state = 1
