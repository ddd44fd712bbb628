-- Locks rows that are still held by a worker: $1 integer table, $2 bytea[] keys, $3 bigint owner.
-- Result: row_key bytea, gen bigint.
select row_key, gen
from pgflight.embed_state
where table_id = $1 and row_key = any ($2) and lease_owner = $3 and state = 1
order by row_key
for update
