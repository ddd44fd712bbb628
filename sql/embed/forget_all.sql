-- Forgets all rows of a table and everything that was noted for it: $1 integer table.
with noted as (
    delete from pgflight.embed_journal where table_id = $1
)
delete from pgflight.embed_state where table_id = $1
