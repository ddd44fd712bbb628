-- Columns of primary keys.
-- Parameters: $1 text  schema, or null for any
--             $2 text  table, or null for any
--             $3 text  the schema of our own tables, which is left out
-- Result: schema text, relation text, column text, sequence int4 (from 1), key text; ordered by table and sequence.
select n.nspname::pg_catalog.text as schema, c.relname::pg_catalog.text as relation, a.attname::pg_catalog.text as column,
       k.place::pg_catalog.int4 as sequence, o.conname::pg_catalog.text as key
from pg_catalog.pg_constraint o
join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) o.conrelid
join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
cross join lateral pg_catalog.unnest(o.conkey) with ordinality as k (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.=) k.attnum
where o.contype operator(pg_catalog.=) 'p' and not c.relispartition
  and n.nspname operator(pg_catalog.!~) '^pg_' and n.nspname operator(pg_catalog.<>) 'information_schema'
  and n.nspname operator(pg_catalog.<>) $3::pg_catalog.text::pg_catalog.name
  and ($1::pg_catalog.text is null or n.nspname::pg_catalog.text operator(pg_catalog.=) $1::pg_catalog.text)
  and ($2::pg_catalog.text is null or c.relname::pg_catalog.text operator(pg_catalog.=) $2::pg_catalog.text)
  and pg_catalog.has_schema_privilege(n.oid, 'USAGE')
order by n.nspname, c.relname, k.place
limit 100000
