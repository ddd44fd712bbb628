-- pgvector in this database: version and schema; no row without it.
-- Result: version text, schema text.
select e.extversion as version, n.nspname::text as schema
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname = 'vector'
