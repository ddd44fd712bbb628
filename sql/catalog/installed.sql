-- Extensions whose types columns are created with, where our role may use them.
-- Parameters: none
-- Result: one row, `postgis text`: the schema of PostGIS' types, or null.
select (
  select n.nspname::pg_catalog.text
  from pg_catalog.pg_extension x
  join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) x.extnamespace
  where x.extname operator(pg_catalog.=) 'postgis' and pg_catalog.has_schema_privilege(n.oid, 'USAGE')
) as postgis
