-- Forgets the rows of tables whose successors have taken their places.
with journal as (
    delete from pgflight.embed_journal where table_id in (select id from pgflight.embed_table where retired)
)
delete from pgflight.embed_state where table_id in (select id from pgflight.embed_table where retired)
