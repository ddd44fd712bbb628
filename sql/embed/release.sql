-- Gives rows back: $1 integer table, $2 bytea[] keys, $3 bigint owner, $4 bigint pause in milliseconds. Locks them in the
-- order in which everybody does.
with held as (
    select row_key
    from pgflight.embed_state
    where table_id = $1 and row_key = any ($2) and lease_owner = $3 and state = 1
    order by row_key
    for update
)
update pgflight.embed_state s
set state = 0, lease_owner = null, lease_until = null,
    not_before = pg_catalog.clock_timestamp() + $4 * interval '1 millisecond'
from held h
where s.table_id = $1 and s.row_key = h.row_key
