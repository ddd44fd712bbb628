-- Takes waiting rows, and rows whose worker gave no sign of life: $1 integer table, $2 bigint rows, $3 bigint owner,
-- $4 bigint lease in milliseconds, $5 integer configuration.
-- Result: row_key bytea, gen bigint, attempts smallint, have_hash bytea, current boolean.
with picked as (
    select row_key
    from pgflight.embed_state
    where table_id = $1 and state in (0, 1) and want_cfg = $5 and not_before <= pg_catalog.clock_timestamp()
        and (state = 0 or lease_until < pg_catalog.clock_timestamp())
    order by prio, not_before
    limit $2
    for update skip locked
)
update pgflight.embed_state s
set state = 1, lease_owner = $3,
    lease_until = pg_catalog.clock_timestamp() + $4 * interval '1 millisecond'
from picked p
where s.table_id = $1 and s.row_key = p.row_key
returning s.row_key, s.gen, s.attempts, s.have_hash, coalesce(s.have_cfg = $5, false) as current
