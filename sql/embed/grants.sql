-- What was granted on a table, as statements for another one: $1 text schema, $2 text table, $3 text the other table's schema,
-- $4 text the other table.
-- Result: statement text.
select pg_catalog.format(
    'grant %s on table %I.%I to %s%s', a.privilege_type, $3::text, $4::text,
    case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
    case when a.is_grantable then ' with grant option' else '' end
) as statement
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral pg_catalog.aclexplode(c.relacl) a
where n.nspname = $1 and c.relname = $2 and a.grantee <> c.relowner
