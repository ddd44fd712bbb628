-- Names the table that is to take another one's place: $1 integer table, $2 integer successor.
-- Result: xid text, of this transaction.
update pgflight.embed_table set successor = $2 where id = $1
returning pg_catalog.pg_current_xact_id()::text as xid
