-- Whether everything that was noted for a table is embedded: $1 integer table.
-- Result: drained boolean.
select not exists (select from pgflight.embed_journal where table_id = $1)
    and not exists (select from pgflight.embed_state where table_id = $1 and state in (0, 1)) as drained
