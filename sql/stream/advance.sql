-- Moves a stream on: $1 text owner, $2 text stream_id, $3 bigint epoch, $4 bigint next_seq, $5 text token, $6 bigint rows
-- written now, $7 bytea hash of the last batch.
-- Result: one row where the epoch is still the stream's.
update pgflight.stream
set next_seq = $4, token = $5, rows = rows + $6, last_hash = $7, updated_at = pg_catalog.now()
where owner = $1 and stream_id = $2 and epoch = $3 and status = 'open'
returning rows
