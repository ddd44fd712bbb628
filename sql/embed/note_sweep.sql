-- Asks for a sweep over a table, also of one that is to take its place: $1 integer table, $2 smallint kind (1, 2), $3 smallint prio.
insert into pgflight.embed_journal (table_id, kind, prio)
select id, $2, $3 from pgflight.embed_heir where of = $1
