-- What a change of an existing table has to reckon with: size, what depends on its columns, what would have to be re-created.
-- Parameters: $1 oid  the table
-- Result: one row, `depth text`: a JSON document (postgres::catalog::depth). Opens files of relations, so it may wait for locks.
with recursive uses as (
  -- views that read the table, directly or through other views; a view may appear once per path
  select r.ev_class as view, d.refobjsubid as attnum, 1 as level
  from pg_catalog.pg_depend d
  join pg_catalog.pg_rewrite r on r.oid operator(pg_catalog.=) d.objid
  where d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.refobjid operator(pg_catalog.=) $1::pg_catalog.oid
    and r.ev_class operator(pg_catalog.<>) $1::pg_catalog.oid
  union
  select r.ev_class, 0, uses.level operator(pg_catalog.+) 1
  from uses
  join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) uses.view
    and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  join pg_catalog.pg_rewrite r on r.oid operator(pg_catalog.=) d.objid
  where r.ev_class operator(pg_catalog.<>) uses.view and uses.level operator(pg_catalog.<) 32
), views as (
  select uses.view, pg_catalog.max(uses.level) as level,
         pg_catalog.json_agg(distinct uses.attnum) filter (where uses.attnum operator(pg_catalog.>) 0) as attnums
  from uses group by uses.view
)
select pg_catalog.json_build_object(
  'bytes', coalesce((select pg_catalog.sum(pg_catalog.pg_total_relation_size(t.oid))
                     from (select $1::pg_catalog.oid as oid
                           union
                           select p.relid from pg_catalog.pg_partition_tree($1::pg_catalog.oid) p) t), 0)::pg_catalog.int8,
  'stamp', pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), 'YYYYMMDD"T"HH24MISS'),
  'views', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'columns', views.attnums,
      'definition', pg_catalog.pg_get_viewdef(c.oid),
      'options', pg_catalog.array_to_string(c.reloptions, ', '),
      'owner', pg_catalog.pg_get_userbyid(c.relowner),
      'is_owner', pg_catalog.pg_has_role(c.relowner, 'USAGE'),
      'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
      'has_more', exists (select from pg_catalog.pg_trigger g where g.tgrelid operator(pg_catalog.=) c.oid)
                  or exists (select from pg_catalog.pg_rewrite w where w.ev_class operator(pg_catalog.=) c.oid
                             and w.ev_type operator(pg_catalog.<>) '1')
                  or exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) c.oid
                             and a.attacl is not null),
      'grants', (select pg_catalog.json_agg(pg_catalog.json_build_object(
                    'role', case x.grantee when 0 then null else pg_catalog.pg_get_userbyid(x.grantee) end,
                    'privilege', x.privilege_type, 'grantable', x.is_grantable))
                 from pg_catalog.aclexplode(c.relacl) x where x.grantee operator(pg_catalog.<>) c.relowner))
      order by views.level, n.nspname, c.relname)
    from views
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) views.view
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace),
  'indexes', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', c.relname,
      'definition', pg_catalog.pg_get_indexdef(i.indexrelid),
      'constraint', exists (select from pg_catalog.pg_constraint k
                            where k.conindid operator(pg_catalog.=) i.indexrelid and k.conrelid operator(pg_catalog.=) $1::pg_catalog.oid),
      'columns', (select pg_catalog.json_agg(distinct d.refobjsubid) from pg_catalog.pg_depend d
                  where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                    and d.objid operator(pg_catalog.=) i.indexrelid
                    and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                    and d.refobjid operator(pg_catalog.=) $1::pg_catalog.oid
                    and d.refobjsubid operator(pg_catalog.>) 0)) order by c.relname)
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid
    where i.indrelid operator(pg_catalog.=) $1::pg_catalog.oid),
  'grants', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'role', case x.grantee when 0 then null else pg_catalog.pg_get_userbyid(x.grantee) end,
      'privilege', x.privilege_type, 'grantable', x.is_grantable))
    from pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) x
    where c.oid operator(pg_catalog.=) $1::pg_catalog.oid and x.grantee operator(pg_catalog.<>) c.relowner),
  -- what keeps a column's type from changing besides views (ALTER TYPE itself takes care of indexes and constraints)
  'users', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'attnum', d.refobjsubid, 'what', pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)))
    from pg_catalog.pg_depend d
    where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
      and d.refobjid operator(pg_catalog.=) $1::pg_catalog.oid and d.refobjsubid operator(pg_catalog.>) 0
      and (d.classid in ('pg_catalog.pg_policy'::pg_catalog.regclass, 'pg_catalog.pg_trigger'::pg_catalog.regclass,
                         'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_publication_rel'::pg_catalog.regclass)
        or exists (select from pg_catalog.pg_attrdef f join pg_catalog.pg_attribute a
                   on a.attrelid operator(pg_catalog.=) f.adrelid and a.attnum operator(pg_catalog.=) f.adnum
                   where d.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                     and f.oid operator(pg_catalog.=) d.objid and a.attgenerated operator(pg_catalog.<>) ''
                     and a.attnum operator(pg_catalog.<>) d.refobjsubid)
        or exists (select from pg_catalog.pg_attribute a
                   where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                     and d.objid operator(pg_catalog.=) $1::pg_catalog.oid
                     and a.attrelid operator(pg_catalog.=) d.objid and a.attnum operator(pg_catalog.=) d.objsubid
                     and a.attgenerated operator(pg_catalog.<>) ''))),
  'column_grants', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'attnum', a.attnum,
      'role', case x.grantee when 0 then null else pg_catalog.pg_get_userbyid(x.grantee) end,
      'privilege', x.privilege_type, 'grantable', x.is_grantable) order by a.attnum)
    from pg_catalog.pg_attribute a, lateral pg_catalog.aclexplode(a.attacl) x
    where a.attrelid operator(pg_catalog.=) $1::pg_catalog.oid and a.attnum operator(pg_catalog.>) 0
      and not a.attisdropped and a.attacl is not null),
  'triggers', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', g.tgname, 'definition', pg_catalog.pg_get_triggerdef(g.oid), 'enabled', g.tgenabled,
      'columns', (select pg_catalog.json_agg(distinct d.refobjsubid) from pg_catalog.pg_depend d
                  where d.classid operator(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass
                    and d.objid operator(pg_catalog.=) g.oid
                    and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                    and d.refobjid operator(pg_catalog.=) $1::pg_catalog.oid
                    and d.refobjsubid operator(pg_catalog.>) 0)) order by g.tgname)
    from pg_catalog.pg_trigger g
    where g.tgrelid operator(pg_catalog.=) $1::pg_catalog.oid and not g.tgisinternal),
  'row_security', exists (select from pg_catalog.pg_class c
    where c.oid operator(pg_catalog.=) $1::pg_catalog.oid and (c.relrowsecurity or exists (
      select from pg_catalog.pg_policy y where y.polrelid operator(pg_catalog.=) c.oid))),
  'rules', exists (select from pg_catalog.pg_rewrite w
    where w.ev_class operator(pg_catalog.=) $1::pg_catalog.oid and w.ev_type operator(pg_catalog.<>) '1'),
  'publications', (select pg_catalog.json_agg(y.pubname order by y.pubname)
    from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication y on y.oid operator(pg_catalog.=) r.prpubid
    where r.prrelid operator(pg_catalog.=) $1::pg_catalog.oid),
  -- direct partitions with their indexes and what those are parts of
  'partitions', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
      'indexes', (select pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', ic.relname, 'valid', x.indisvalid,
          'of', (select pc.relname from pg_catalog.pg_inherits h
                 join pg_catalog.pg_class pc on pc.oid operator(pg_catalog.=) h.inhparent
                 where h.inhrelid operator(pg_catalog.=) x.indexrelid)))
        from pg_catalog.pg_index x join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) x.indexrelid
        where x.indrelid operator(pg_catalog.=) c.oid)) order by n.nspname, c.relname)
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.inhrelid and c.relispartition
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
    where i.inhparent operator(pg_catalog.=) $1::pg_catalog.oid),
  'own_references', (select pg_catalog.json_agg(k.conname order by k.conname) from pg_catalog.pg_constraint k
    where k.conrelid operator(pg_catalog.=) $1::pg_catalog.oid and k.contype in ('f', 'c'))
)::pg_catalog.text as depth
