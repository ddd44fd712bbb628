-- Whether every transaction that was open when another one committed has ended: $1 text xid of that one.
-- Result: newer boolean.
select pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) > $1::text::pg_catalog.xid8 as newer
