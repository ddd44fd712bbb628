-- Removes entries of the journal: $1 bigint[] ids.
delete from pgflight.embed_journal where id = any ($1)
