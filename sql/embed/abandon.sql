-- Forgets a table altogether: $1 integer table.
with journal as (
    delete from pgflight.embed_journal where table_id = $1
), ledger as (
    delete from pgflight.embed_state where table_id = $1
)
delete from pgflight.embed_table where id = $1
