-- Notes keys that a load touched: $1 integer table, $2 integer rows, $3 text[] types, $4 bytea COPY tuples.
insert into pgflight.embed_journal (table_id, row_count, key_types, keys) values ($1, $2, $3, $4)
