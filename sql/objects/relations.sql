-- Tables and views of users' schemas that our role may read or fill, a page at a time. Partitions are left out: their parent is there.
-- Parameters: $1 text  pattern of LIKE that the schema's name must match, or null
--             $2 text  pattern of LIKE that the relation's name must match, or null
--             $3 text[]  kinds (pg_class.relkind), or null for all
--             $4 text, $5 text  continue behind this schema and relation; null to start
--             $6 int8  most rows
--             $7 text  the schema of our own tables, which is left out
-- Result: schema text, relation text, kind "char", ordered by the first two (bytewise, as type `name` compares).
select n.nspname::pg_catalog.text as schema, c.relname::pg_catalog.text as relation, c.relkind as kind
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and n.nspname operator(pg_catalog.!~) '^pg_' and n.nspname operator(pg_catalog.<>) 'information_schema'
  and n.nspname operator(pg_catalog.<>) $7::pg_catalog.text::pg_catalog.name
  and ($1::pg_catalog.text is null or n.nspname::pg_catalog.text operator(pg_catalog.~~) $1::pg_catalog.text)
  and ($2::pg_catalog.text is null or c.relname::pg_catalog.text operator(pg_catalog.~~) $2::pg_catalog.text)
  and ($3::pg_catalog.text[] is null or c.relkind::pg_catalog.text operator(pg_catalog.=) any ($3::pg_catalog.text[]))
  and ($4::pg_catalog.text is null
       or n.nspname operator(pg_catalog.>) $4::pg_catalog.text::pg_catalog.name
       or (n.nspname operator(pg_catalog.=) $4::pg_catalog.text::pg_catalog.name
           and c.relname operator(pg_catalog.>) $5::pg_catalog.text::pg_catalog.name))
  and pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  and pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT')
order by n.nspname, c.relname
limit $6::pg_catalog.int8
