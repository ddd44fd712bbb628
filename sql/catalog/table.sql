-- One table as the catalog holds it, together with what must be known about the server: one round trip per stream.
-- Parameters: $1 text  schema, or null for the first schema of search_path
--             $2 text  table name, at most 63 bytes
-- Result: one row, one column `found json` (document read by postgres::catalog::raw; members that are not there are null).
-- Touches pg_catalog only and opens no user relation, so it never waits for a lock on one.
-- A member that not every supported version has (indnullsnotdistinct) is reached through to_jsonb, so that one text
-- serves all versions from 14 on.
with recursive wanted as (
  select coalesce($1::pg_catalog.text, pg_catalog.current_schema()::pg_catalog.text)::pg_catalog.name as schema,
         $2::pg_catalog.text::pg_catalog.name as name
), ns as (
  select n.oid, n.nspname
  from pg_catalog.pg_namespace n join wanted w on n.nspname operator(pg_catalog.=) w.schema
), rel as (
  select c.oid, c.relname, c.relkind, c.relispartition, c.relpersistence, c.relpages, c.reltuples, c.relhasrules,
         c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relpartbound, c.reloftype
  from pg_catalog.pg_class c join ns on c.relnamespace operator(pg_catalog.=) ns.oid
  join wanted w on c.relname operator(pg_catalog.=) w.name
), att as (
  select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attidentity, a.attgenerated,
         a.atthasdef, a.attislocal, a.attinhcount, a.attcollation
  from pg_catalog.pg_attribute a join rel on a.attrelid operator(pg_catalog.=) rel.oid
  where a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
), reach (oid) as (
  select att.atttypid from att
  union
  select child.oid
  from reach join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) reach.oid
  cross join lateral (
    select e.oid from pg_catalog.pg_type e
    where e.oid operator(pg_catalog.=) t.typelem and e.typarray operator(pg_catalog.=) t.oid
    union all
    select t.typbasetype where t.typbasetype operator(pg_catalog.<>) 0
    union all
    select r.rngsubtype from pg_catalog.pg_range r
    where r.rngtypid operator(pg_catalog.=) t.oid or r.rngmultitypid operator(pg_catalog.=) t.oid
    union all
    select f.atttypid from pg_catalog.pg_attribute f
    where t.typtype operator(pg_catalog.=) 'c' and f.attrelid operator(pg_catalog.=) t.typrelid
      and f.attnum operator(pg_catalog.>) 0 and not f.attisdropped
  ) child
), below (oid) as (
  select rel.oid from rel
  union
  select i.inhrelid from pg_catalog.pg_inherits i join below b on i.inhparent operator(pg_catalog.=) b.oid
), above (oid) as (
  select rel.oid from rel
  union
  select i.inhparent from pg_catalog.pg_inherits i join above a on i.inhrelid operator(pg_catalog.=) a.oid
), kin as (
  -- arrays, so that the planner expects few rows (see the end)
  select array(select below.oid from below) as below, array(select above.oid from above) as above
)
select pg_catalog.json_build_object(
  'server', pg_catalog.json_build_object(
    'version', pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
    'database', pg_catalog.current_database(),
    'role', current_user,
    'current_schema', pg_catalog.current_schema(),
    'time_zone', pg_catalog.current_setting('TimeZone'),
    'today', pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.now()), 'YYYY-MM-DD'),
    'in_recovery', pg_catalog.pg_is_in_recovery(),
    'read_only', pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool,
    'can_create_schema', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
    'can_create_temporary', pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMPORARY'),
    'money', pg_catalog.json_build_object(
      'positive', pg_catalog.money(1234567890::pg_catalog.int8)::pg_catalog.text,
      'negative', pg_catalog.money((-1234567890)::pg_catalog.int8)::pg_catalog.text,
      'unit', pg_catalog.encode(pg_catalog.cash_send(pg_catalog.money(1::pg_catalog.int8)), 'hex'))),
  'schema', (select w.schema from wanted w),
  'schema_exists', exists (select from ns),
  'schema_usage', (select pg_catalog.has_schema_privilege(ns.oid, 'USAGE') from ns),
  'schema_create', (select pg_catalog.has_schema_privilege(ns.oid, 'CREATE') from ns),
  'table', (select pg_catalog.json_build_object(
    'oid', rel.oid::pg_catalog.int8,
    'kind', rel.relkind,
    'is_partition', rel.relispartition,
    'persistence', rel.relpersistence,
    'pages', rel.relpages,
    'rows', rel.reltuples,
    'typed', rel.reloftype operator(pg_catalog.<>) 0,
    'partition_key', pg_catalog.pg_get_partkeydef(rel.oid),
    'partition_columns', (select pg_catalog.json_agg(p.attnum) from pg_catalog.pg_partitioned_table t,
                          lateral pg_catalog.unnest(t.partattrs::pg_catalog.int2[]) as p (attnum)
                          where t.partrelid operator(pg_catalog.=) rel.oid),
    'partitions', (select pg_catalog.json_agg(pc.relname order by pc.relname) from pg_catalog.pg_inherits i
                   join pg_catalog.pg_class pc on pc.oid operator(pg_catalog.=) i.inhrelid
                   where rel.relkind operator(pg_catalog.=) 'p' and i.inhparent operator(pg_catalog.=) rel.oid),
    'has_children', exists (select from pg_catalog.pg_inherits i where i.inhparent operator(pg_catalog.=) rel.oid),
    'comment', pg_catalog.obj_description(rel.oid, 'pg_class'),
    'owner', pg_catalog.pg_get_userbyid(rel.relowner),
    'is_owner', pg_catalog.pg_has_role(rel.relowner, 'USAGE'),
    'can_look', pg_catalog.has_any_column_privilege(rel.oid, 'SELECT'),
    'can_delete', pg_catalog.has_table_privilege(rel.oid, 'DELETE'),
    'can_truncate', pg_catalog.has_table_privilege(rel.oid, 'TRUNCATE'),
    'row_security', rel.relrowsecurity and pg_catalog.row_security_active(rel.oid),
    'rules', (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', w.rulename, 'event', w.ev_type, 'enabled', w.ev_enabled) order by w.rulename)
      from pg_catalog.pg_rewrite w where rel.relkind operator(pg_catalog.<>) 'v'
        and w.ev_class operator(pg_catalog.=) rel.oid),
    'triggers', (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', g.tgname, 'type', g.tgtype, 'enabled', g.tgenabled) order by g.tgname)
      from pg_catalog.pg_trigger g where g.tgrelid operator(pg_catalog.=) rel.oid and not g.tgisinternal),
    -- publications send changed rows by a replica identity, without which Postgres refuses to change them, in partitions, too
    'without_identity', (select pg_catalog.json_build_object(
        'updates', coalesce(pg_catalog.bool_or(p.pubupdate), false), 'deletes', coalesce(pg_catalog.bool_or(p.pubdelete), false))
      from kin, pg_catalog.pg_publication p, pg_catalog.pg_class rc
      where rc.oid operator(pg_catalog.=) any (case rel.relkind when 'p' then kin.below else array[rel.oid] end)
        and rc.relkind operator(pg_catalog.=) 'r'
        and pg_catalog.pg_relation_is_publishable(rc.oid) and rc.relreplident operator(pg_catalog.<>) 'f'
        and (rc.relreplident operator(pg_catalog.=) 'n' or not exists (
          select from pg_catalog.pg_index i where i.indrelid operator(pg_catalog.=) rc.oid and i.indimmediate
            and case rc.relreplident when 'i' then i.indisreplident else i.indisprimary end))
        and (p.puballtables or exists (
          -- a publication that names a partitioned table has its partitions, or it alone where they go by its name
          select from pg_catalog.pg_get_publication_tables(p.pubname::pg_catalog.text) g
          where g.relid operator(pg_catalog.=) rc.oid
            or g.relid operator(pg_catalog.=) any (array(select a.relid from pg_catalog.pg_partition_ancestors(rc.oid) a))))),
    -- those that see each row, also of partitions; suppress_redundant_updates_trigger() leaves out what changes nothing
    'row_triggers', (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', g.tgname, 'type', g.tgtype, 'enabled', g.tgenabled, 'redundant', g.redundant) order by g.tgname)
      from (select distinct g.tgname, g.tgtype, g.tgenabled, g.tgfoid operator(pg_catalog.=)
              'pg_catalog.suppress_redundant_updates_trigger'::pg_catalog.regproc as redundant
            from pg_catalog.pg_trigger g, kin
            where g.tgrelid operator(pg_catalog.=) any (case rel.relkind when 'p' then kin.below else array[rel.oid] end)
              and not g.tgisinternal and (g.tgtype operator(pg_catalog.&) 1::pg_catalog.int2) operator(pg_catalog.<>) 0) g),
    'columns', (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'attnum', att.attnum,
        'name', att.attname,
        'type', att.atttypid::pg_catalog.int8,
        'typmod', att.atttypmod,
        'display', pg_catalog.format_type(att.atttypid, att.atttypmod),
        'not_null', att.attnotnull,
        -- where it is not that of the type, which a change of the type would leave
        'collation', (select pg_catalog.json_build_object('schema', cn.nspname, 'name', co.collname)
                      from pg_catalog.pg_collation co
                      join pg_catalog.pg_namespace cn on cn.oid operator(pg_catalog.=) co.collnamespace
                      join pg_catalog.pg_type ct on ct.oid operator(pg_catalog.=) att.atttypid
                      where co.oid operator(pg_catalog.=) att.attcollation
                        and co.oid operator(pg_catalog.<>) ct.typcollation),
        'identity', att.attidentity,
        'generated', att.attgenerated,
        'inherited', att.attinhcount operator(pg_catalog.>) 0,
        'can_insert', pg_catalog.has_column_privilege(att.attrelid, att.attnum, 'INSERT'),
        'can_select', pg_catalog.has_column_privilege(att.attrelid, att.attnum, 'SELECT'),
        'can_update', pg_catalog.has_column_privilege(att.attrelid, att.attnum, 'UPDATE'),
        'default', (select pg_catalog.pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attrdef d
                    where d.adrelid operator(pg_catalog.=) att.attrelid and d.adnum operator(pg_catalog.=) att.attnum),
        'comment', pg_catalog.col_description(att.attrelid, att.attnum)) order by att.attnum)
      from att),
    'keys', (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', ic.relname,
        'oid', i.indexrelid::pg_catalog.int8,
        'constraint', k.conname,
        'primary', i.indisprimary,
        'columns', (select pg_catalog.json_agg(u.attnum order by u.n)
                    from pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality as u (attnum, n)
                    where u.n operator(pg_catalog.<=) i.indnkeyatts),
        'plain', i.indpred is null and i.indexprs is null and not i.indisexclusion,
        'valid', i.indisvalid,
        'immediate', i.indimmediate,
        -- under which texts may be equal that differ; null where there is none such
        'collations', (select pg_catalog.json_agg(case when not co.collisdeterministic then
              pg_catalog.json_build_object('schema', cn.nspname, 'name', co.collname) end order by u.n)
            from pg_catalog.unnest(i.indcollation::pg_catalog.oid[]) with ordinality as u (oid, n)
            left join pg_catalog.pg_collation co on co.oid operator(pg_catalog.=) u.oid
            left join pg_catalog.pg_namespace cn on cn.oid operator(pg_catalog.=) co.collnamespace
            having pg_catalog.bool_or(not co.collisdeterministic)),
        'nulls_not_distinct', coalesce((pg_catalog.to_jsonb(i) operator(pg_catalog.->>) 'indnullsnotdistinct')::pg_catalog.bool, false))
        order by ic.relname)
      from pg_catalog.pg_index i
      join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) i.indexrelid
      left join pg_catalog.pg_constraint k on k.conindid operator(pg_catalog.=) i.indexrelid
        and k.conrelid operator(pg_catalog.=) rel.oid and k.contype in ('p', 'u')
      where i.indrelid operator(pg_catalog.=) rel.oid and i.indisunique),
    -- an index that another session is building right now is not an invalid leftover
    'indexes', (select pg_catalog.json_agg(pg_catalog.json_build_object('name', ic.relname, 'valid', i.indisvalid or exists (
          select from pg_catalog.pg_stat_progress_create_index b where b.index_relid operator(pg_catalog.=) i.indexrelid))
        order by ic.relname)
      from pg_catalog.pg_index i
      join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) i.indexrelid
      where i.indrelid operator(pg_catalog.=) rel.oid),
    'exclusions', (select pg_catalog.json_agg(k.conname order by k.conname) from pg_catalog.pg_constraint k
      where k.conrelid operator(pg_catalog.=) rel.oid and k.contype operator(pg_catalog.=) 'x'),
    'referenced_by', (select pg_catalog.json_agg(k.conrelid::pg_catalog.regclass::pg_catalog.text order by k.conname)
      from pg_catalog.pg_constraint k
      where k.confrelid operator(pg_catalog.=) rel.oid and k.contype operator(pg_catalog.=) 'f'),
    -- foreign keys that TRUNCATE meets, and those by which a row of the table may name another one of it
    'references', (select pg_catalog.json_agg(pg_catalog.json_build_object(
        'schema', kn.nspname,
        'name', k.conname,
        'from', k.conrelid::pg_catalog.regclass::pg_catalog.text,
        'within', k.conrelid operator(pg_catalog.=) any (kin.below),
        -- SET CONSTRAINTS takes all constraints of a name in a schema
        'deferrable', k.condeferrable and not exists (
          select from pg_catalog.pg_constraint o where o.conname operator(pg_catalog.=) k.conname
            and o.connamespace operator(pg_catalog.=) k.connamespace and not o.condeferrable)) order by k.conname, k.oid)
      from kin, pg_catalog.pg_constraint k
      join pg_catalog.pg_namespace kn on kn.oid operator(pg_catalog.=) k.connamespace
      where k.contype operator(pg_catalog.=) 'f' and (k.confrelid operator(pg_catalog.=) any (kin.below)
        or (k.conrelid operator(pg_catalog.=) any (kin.below) and k.confrelid operator(pg_catalog.=) any (kin.above))))
  ) from rel),
  'types', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', t.oid::pg_catalog.int8,
      'name', t.typname,
      'schema', n.nspname,
      'kind', t.typtype,
      'array_oid', t.typarray::pg_catalog.int8,
      'display', pg_catalog.format_type(t.oid, null),
      'extension', (select x.extname from pg_catalog.pg_depend d
                    join pg_catalog.pg_extension x on x.oid operator(pg_catalog.=) d.refobjid
                    where d.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
                      and d.objid operator(pg_catalog.=) t.oid and d.deptype operator(pg_catalog.=) 'e'
                      and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass),
      'element', (select e.oid::pg_catalog.int8 from pg_catalog.pg_type e
                  where e.oid operator(pg_catalog.=) t.typelem and e.typarray operator(pg_catalog.=) t.oid),
      'base', nullif(t.typbasetype::pg_catalog.int8, 0),
      'base_typmod', t.typtypmod,
      'base_display', pg_catalog.format_type(t.typbasetype, t.typtypmod),
      'not_null', t.typnotnull,
      'subtype', (select r.rngsubtype::pg_catalog.int8 from pg_catalog.pg_range r
                  where r.rngtypid operator(pg_catalog.=) t.oid or r.rngmultitypid operator(pg_catalog.=) t.oid),
      'labels', (select pg_catalog.json_agg(e.enumlabel order by e.enumsortorder) from pg_catalog.pg_enum e
                 where e.enumtypid operator(pg_catalog.=) t.oid),
      'fields', (select pg_catalog.json_agg(pg_catalog.json_build_object(
                   'name', f.attname, 'type', f.atttypid::pg_catalog.int8, 'typmod', f.atttypmod,
                   'display', pg_catalog.format_type(f.atttypid, f.atttypmod)) order by f.attnum)
                 from pg_catalog.pg_attribute f
                 where t.typtype operator(pg_catalog.=) 'c' and f.attrelid operator(pg_catalog.=) t.typrelid
                   and f.attnum operator(pg_catalog.>) 0 and not f.attisdropped)))
    -- through an array, so that the planner expects few rows: its guess for `reach` would start the JIT compiler (140 ms)
    from pg_catalog.unnest(array(select reach.oid from reach)) as used (oid)
    join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) used.oid
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) t.typnamespace)
)::pg_catalog.text as found
