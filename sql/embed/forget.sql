-- Removes rows from the ledger of one table: $1 integer table, $2 bytea[] keys.
delete from pgflight.embed_state where table_id = $1 and row_key = any ($2)
