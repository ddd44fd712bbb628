-- What was granted on a table and its columns, and whose it is, as statements for another table: $1 text schema, $2 text table,
-- $3 text the other table's schema, $4 text the other table. The owner comes last.
-- Result: statement text, owner boolean: whether it is about the owner.
with one as (
    select c.oid, c.relacl, c.relowner, p.oid as other, p.relowner as other_owner
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace,
    pg_catalog.pg_class p
    join pg_catalog.pg_namespace m on m.oid = p.relnamespace
    where n.nspname = $1 and c.relname = $2 and m.nspname = $3 and p.relname = $4
), granted as (
    select a.privilege_type as privilege, '' as on_column, a.grantee, a.is_grantable
    from one
    cross join lateral pg_catalog.aclexplode(one.relacl) a
    where a.grantee <> one.relowner
    union all
    select a.privilege_type, pg_catalog.format(' (%I)', o.attname), a.grantee, a.is_grantable
    from one
    join pg_catalog.pg_attribute o on o.attrelid = one.oid and o.attnum > 0 and not o.attisdropped
    join pg_catalog.pg_attribute w on w.attrelid = one.other and w.attname = o.attname and not w.attisdropped
    cross join lateral pg_catalog.aclexplode(o.attacl) a
)
select pg_catalog.format(
    'grant %s%s on table %I.%I to %s%s', privilege, on_column, $3::text, $4::text,
    case grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) end,
    case when is_grantable then ' with grant option' else '' end
) as statement, false as owner
from granted
union all
select pg_catalog.format('alter table %I.%I owner to %I', $3::text, $4::text, pg_catalog.pg_get_userbyid(relowner)), true
from one
where relowner <> other_owner
order by owner
