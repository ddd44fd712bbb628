-- Whether an index is usable: $1 text schema, $2 text index.
-- Result: valid boolean; no row without the index.
select i.indisvalid as valid
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2
