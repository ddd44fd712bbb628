-- The next entries of the journal, locked: $1 integer table, $2 bigint entries.
-- Result: id bigint, kind smallint, prio smallint, row_count integer, key_types text[], keys bytea, next_block bigint.
select id, kind, prio, row_count, key_types, keys, next_block
from pgflight.embed_journal
where table_id = $1
order by prio, id
limit $2
for update skip locked
