-- Which versions of catalog rows make an ordinary table what it is: whatever is changed of the table, its columns, keys, indexes,
-- constraints, triggers and rules, of who may do what with them, or of what its name leads to, gives another text.
-- Parameters: $1 text  schema, or null for the first schema of search_path
--             $2 text  table name
-- Result: one row: stamp text, published bool (whether there are publications); no row where there is no ordinary table of that
-- name, or one that more hangs on (a part of another table, row security).
select pg_catalog.concat_ws('/', c.oid, c.xmin, n.xmin, published.any_is,
    (select pg_catalog.string_agg(pg_catalog.concat(a.attnum, ':', a.xmin), ',' order by a.attnum) from pg_catalog.pg_attribute a
      where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0),
    (select pg_catalog.string_agg(pg_catalog.concat('i', i.indexrelid, ':', i.xmin), ',' order by i.indexrelid) from pg_catalog.pg_index i
      where i.indrelid operator(pg_catalog.=) c.oid),
    (select pg_catalog.string_agg(pg_catalog.concat('k', k.oid, ':', k.xmin), ',' order by k.oid) from pg_catalog.pg_constraint k
      where k.conrelid operator(pg_catalog.=) c.oid),
    (select pg_catalog.string_agg(pg_catalog.concat('t', g.oid, ':', g.xmin), ',' order by g.oid) from pg_catalog.pg_trigger g
      where g.tgrelid operator(pg_catalog.=) c.oid),
    (select pg_catalog.string_agg(pg_catalog.concat('r', w.oid, ':', w.xmin), ',' order by w.oid) from pg_catalog.pg_rewrite w
      where w.ev_class operator(pg_catalog.=) c.oid)) as stamp,
  published.any_is as published
from pg_catalog.pg_namespace n
join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid
cross join (select exists (select from pg_catalog.pg_publication) as any_is) as published
where n.nspname operator(pg_catalog.=) coalesce($1::pg_catalog.text, pg_catalog.current_schema()::pg_catalog.text)::pg_catalog.name
  and c.relname operator(pg_catalog.=) $2::pg_catalog.text::pg_catalog.name
  and c.relkind operator(pg_catalog.=) 'r' and c.relpersistence operator(pg_catalog.<>) 't'
  and not c.relispartition and not c.relhassubclass and not c.relrowsecurity and c.reloftype operator(pg_catalog.=) 0
  and not exists (select from pg_catalog.pg_inherits h where h.inhrelid operator(pg_catalog.=) c.oid)
