-- What a change of an existing table costs. Opens the relations' files, so it may wait for their locks.
-- Parameters: $1 oid  the table
-- Result: one row: bytes int8 (with indexes and TOAST, all partitions), stamp text (UTC now, for a name).
select coalesce((select pg_catalog.sum(pg_catalog.pg_total_relation_size(t.oid))
                 from (select $1::pg_catalog.oid as oid
                       union
                       select p.relid from pg_catalog.pg_partition_tree($1::pg_catalog.oid) p) t), 0)::pg_catalog.int8 as bytes,
       pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), 'YYYYMMDD"T"HH24MISS') as stamp
