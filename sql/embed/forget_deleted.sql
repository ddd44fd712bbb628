-- Removes deleted rows from the ledger, also from that of a table that is to take this one's place, which is asked to look for
-- chunks without a row: $1 integer table, $2 bytea[] keys.
with heirs as (
    select id from pgflight.embed_heir where of = $1
), asked as (
    insert into pgflight.embed_journal (table_id, kind, prio)
    select h.id, 2, 5 from heirs h
    where h.id <> $1 and not exists (
        select from pgflight.embed_journal j where j.table_id = h.id and j.kind = 2 and j.next_block = 0
    )
), locked as (
    select table_id, row_key
    from pgflight.embed_state
    where (table_id = $1 or table_id in (select id from heirs)) and row_key = any ($2)
    order by table_id, row_key
    for update
)
delete from pgflight.embed_state s
using locked l
where s.table_id = l.table_id and s.row_key = l.row_key
