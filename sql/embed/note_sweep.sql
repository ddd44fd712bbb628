-- Asks for a sweep over a table: $1 integer table, $2 smallint kind (1, 2), $3 smallint prio.
insert into pgflight.embed_journal (table_id, kind, prio) values ($1, $2, $3)
