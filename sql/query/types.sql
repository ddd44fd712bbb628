-- The types of a statement's columns or parameters, with everything that they are made of.
-- Parameters: $1 oid[]  the types
--             $2 int4[]  their modifiers, -1 for none
-- Result: one row, one column `found text`: a JSON document like that of catalog/table.sql, with `columns` in the order of $1.
with recursive asked as (
  select a.oid, a.typmod, a.place
  from rows from (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[]))
       with ordinality as a (oid, typmod, place)
), reach (oid) as (
  select asked.oid from asked
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
)
select pg_catalog.json_build_object(
  'money', pg_catalog.json_build_object(
    'positive', pg_catalog.money(1234567890::pg_catalog.int8)::pg_catalog.text,
    'negative', pg_catalog.money((-1234567890)::pg_catalog.int8)::pg_catalog.text,
    'unit', pg_catalog.encode(pg_catalog.cash_send(pg_catalog.money(1::pg_catalog.int8)), 'hex')),
  'columns', (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'type', asked.oid::pg_catalog.int8, 'typmod', asked.typmod,
      'display', pg_catalog.format_type(asked.oid, asked.typmod)) order by asked.place)
    from asked),
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
    from pg_catalog.unnest(array(select reach.oid from reach)) as used (oid)
    join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) used.oid
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) t.typnamespace)
)::pg_catalog.text as found
