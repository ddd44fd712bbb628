-- Tables and views of users' schemas that our role may read, a page at a time. Partitions are left out: their parent is there.
-- Parameters: $1 text  only this schema, or null for all
--             $2 text, $3 text  continue behind this schema and table; null to start
--             $4 int8  most rows
--             $5 text  the schema of our own tables, which is left out
-- Result: schema name, table name, ordered by both (bytewise, as type `name` compares).
select n.nspname as schema, c.relname as table
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and n.nspname operator(pg_catalog.!~) '^pg_' and n.nspname operator(pg_catalog.<>) 'information_schema'
  and n.nspname operator(pg_catalog.<>) $5::pg_catalog.text::pg_catalog.name
  and ($1::pg_catalog.text is null or n.nspname operator(pg_catalog.=) $1::pg_catalog.text::pg_catalog.name)
  and ($2::pg_catalog.text is null
       or n.nspname operator(pg_catalog.>) $2::pg_catalog.text::pg_catalog.name
       or (n.nspname operator(pg_catalog.=) $2::pg_catalog.text::pg_catalog.name
           and c.relname operator(pg_catalog.>) $3::pg_catalog.text::pg_catalog.name))
  and pg_catalog.has_schema_privilege(n.oid, 'USAGE') and pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
order by n.nspname, c.relname
limit $4::pg_catalog.int8
