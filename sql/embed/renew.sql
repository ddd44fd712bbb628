-- Keeps rows: $1 integer table, $2 bytea[] keys, $3 bigint owner, $4 bigint lease in milliseconds. Locks them in the order in
-- which everybody does.
with held as (
    select row_key
    from pgflight.embed_state
    where table_id = $1 and row_key = any ($2) and lease_owner = $3 and state = 1
    order by row_key
    for update
)
update pgflight.embed_state s
set lease_until = pg_catalog.clock_timestamp() + $4 * interval '1 millisecond'
from held h
where s.table_id = $1 and s.row_key = h.row_key
