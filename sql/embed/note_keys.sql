-- Notes keys that a load touched, also for a table that is to take this one's place: $1 integer table, $2 integer rows,
-- $3 text[] types, $4 bytea COPY tuples.
insert into pgflight.embed_journal (table_id, row_count, key_types, keys)
select id, $2, $3, $4 from pgflight.embed_heir where of = $1
