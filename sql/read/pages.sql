-- The tables that have the rows of a table, and their pages as of now.
-- Parameters: $1 oid  the table
-- Result: one row: tables oid[], pages int8[] (in the same order), splits bool (whether rows of all of them are found by their page, and our
-- role may ask for that)
with recursive tree as (
  select $1::pg_catalog.oid as oid
  union
  select i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent operator(pg_catalog.=) t.oid
)
select coalesce(pg_catalog.array_agg(c.oid order by c.oid) filter (where c.relkind operator(pg_catalog.=) 'r'), '{}') as tables,
       coalesce(pg_catalog.array_agg(pg_catalog.pg_relation_size(c.oid::pg_catalog.regclass) operator(pg_catalog./)
                                     pg_catalog.current_setting('block_size')::pg_catalog.int8 order by c.oid)
                filter (where c.relkind operator(pg_catalog.=) 'r'), '{}') as pages,
       pg_catalog.bool_and(c.relkind operator(pg_catalog.=) 'p' or (c.relkind operator(pg_catalog.=) 'r' and m.amname operator(pg_catalog.=) 'heap'))
         and pg_catalog.has_table_privilege($1::pg_catalog.oid, 'SELECT') as splits
from tree t join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.oid
  left join pg_catalog.pg_am m on m.oid operator(pg_catalog.=) c.relam
