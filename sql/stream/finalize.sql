-- Ends a stream for good: $1 text owner, $2 text stream_id, $3 bigint epoch, $4 text result (JSON).
-- Result: one row where the epoch is still the stream's.
update pgflight.stream
set status = 'finalized', result = $4::jsonb, updated_at = pg_catalog.now()
where owner = $1 and stream_id = $2 and epoch = $3 and status = 'open'
returning rows
