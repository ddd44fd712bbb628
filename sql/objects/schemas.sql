-- Schemas of users that our role may use.
-- Parameters: $1 text  pattern of LIKE that the name must match, or null
--             $2 text  the schema of our own tables, which is left out
-- Result: schema text, ordered bytewise.
select n.nspname::pg_catalog.text as schema
from pg_catalog.pg_namespace n
where n.nspname operator(pg_catalog.!~) '^pg_' and n.nspname operator(pg_catalog.<>) 'information_schema'
  and n.nspname operator(pg_catalog.<>) $2::pg_catalog.text::pg_catalog.name
  and ($1::pg_catalog.text is null or n.nspname::pg_catalog.text operator(pg_catalog.~~) $1::pg_catalog.text)
  and pg_catalog.has_schema_privilege(n.oid, 'USAGE')
order by n.nspname
