-- How a table's vectors are made: $1 integer table.
-- Result: id integer, fingerprint bytea, spec text; no row before the first time.
select id, fingerprint, spec::text as spec
from pgflight.embed_config
where table_id = $1 and active
