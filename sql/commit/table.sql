-- The table of last commits, where this role may write it: $1 text schema.
-- Result: relation text (its oid), or no row.
select c.oid::text as relation
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = 'last_commit'
    and pg_catalog.has_schema_privilege(n.oid, 'usage')
    and pg_catalog.has_table_privilege(c.oid, 'select')
    and pg_catalog.has_table_privilege(c.oid, 'insert')
    and pg_catalog.has_table_privilege(c.oid, 'update')
    and pg_catalog.has_table_privilege(c.oid, 'delete')
