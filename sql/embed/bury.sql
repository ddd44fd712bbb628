-- Gives rows up whose ledger rows are locked: $1 integer table, $2 bytea[] keys, $3 bytea[] hashes of the texts that were
-- refused, $4 text[] codes, $5 text[] messages.
update pgflight.embed_state s
set state = 3, attempts = s.attempts + 1, want_hash = u.hash, lease_owner = null, lease_until = null,
    err_code = u.code, err_msg = u.message, err_at = pg_catalog.now()
from rows from (
    pg_catalog.unnest($2::bytea[]), pg_catalog.unnest($3::bytea[]),
    pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[])
) as u (row_key, hash, code, message)
where s.table_id = $1 and s.row_key = u.row_key
