-- Notes how far a sweep came: $1 bigint id, $2 bigint next block.
update pgflight.embed_journal set next_block = $2 where id = $1
