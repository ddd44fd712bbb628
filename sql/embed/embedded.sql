-- Whether a table has rows that are embedded: $1 integer table.
-- Result: embedded boolean.
select exists (select from pgflight.embed_state where table_id = $1 and state = 2) as embedded
