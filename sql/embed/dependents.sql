-- Views that read a table, which go on reading it under its new name: $1 text schema, $2 text table.
-- Result: name text.
select distinct pg_catalog.format('%I.%I', vn.nspname, v.relname) as name
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = c.oid
join pg_catalog.pg_rewrite r on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and r.oid = d.objid
join pg_catalog.pg_class v on v.oid = r.ev_class and v.oid <> c.oid
join pg_catalog.pg_namespace vn on vn.oid = v.relnamespace
where n.nspname = $1 and c.relname = $2
order by 1
