-- Vectors come again: $1 integer table.
delete from pgflight.embed_trouble where table_id = $1
