-- Notes what chunks were made of: $1 integer table, $2 bytea[] keys, $3 bytea[] text hashes, $4 integer[] chunks (-1: as
-- they were), $5 integer[] tokens, $6 integer configuration.
update pgflight.embed_state s
set want_hash = u.hash, have_hash = u.hash, have_cfg = $6, chunks = case u.chunks when -1 then s.chunks else u.chunks end,
    tokens = u.tokens, embedded_at = pg_catalog.now(), attempts = 0, prio = 0,
    state = case when s.want_cfg <> $6 then 0 when u.chunks = 0 or u.chunks = -1 and s.chunks = 0 then 4 else 2 end,
    lease_owner = null, lease_until = null, err_code = null, err_msg = null, err_at = null
from rows from (
    pg_catalog.unnest($2::bytea[]), pg_catalog.unnest($3::bytea[]),
    pg_catalog.unnest($4::integer[]), pg_catalog.unnest($5::integer[])
) as u (row_key, hash, chunks, tokens)
where s.table_id = $1 and s.row_key = u.row_key
