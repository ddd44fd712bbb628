-- What the catalog guesses a table's rows and bytes to be, partitions summed up.
-- Parameters: $1 oid  the table
-- Result: one row: rows float8 (null before the first vacuum or analyze of any part), bytes int8 (heap pages, no indexes).
select case when bool_or(c.reltuples operator(pg_catalog.<) 0) then null else pg_catalog.sum(c.reltuples::pg_catalog.float8) end as rows,
       (pg_catalog.sum(c.relpages::pg_catalog.int8) operator(pg_catalog.*)
        pg_catalog.current_setting('block_size')::pg_catalog.numeric)::pg_catalog.int8 as bytes
from pg_catalog.pg_class c
where c.relkind in ('r', 'm', 'f')
  and (c.oid operator(pg_catalog.=) $1::pg_catalog.oid
       or c.oid in (select t.relid from pg_catalog.pg_partition_tree($1::pg_catalog.oid::pg_catalog.regclass) t))
