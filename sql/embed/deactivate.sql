-- No row is embedded as before any more; waits for workers that are storing chunks: $1 integer table.
update pgflight.embed_config set active = false where table_id = $1 and active
