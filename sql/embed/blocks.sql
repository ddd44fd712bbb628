-- Size of a table in blocks: $1 oid. 0 for a partitioned table, whose rows are elsewhere.
-- Result: blocks bigint, plain boolean.
select pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint as blocks,
    c.relkind in ('r', 'm') as plain
from pg_catalog.pg_class c
where c.oid = $1
