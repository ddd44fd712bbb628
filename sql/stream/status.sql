-- Where a stream stands: $1 text owner, $2 text stream_id.
-- Result: the stream, or no row.
select target, epoch, next_seq, token, rows, last_hash, result::text as result,
    pg_catalog.current_setting('synchronous_commit') <> 'off' as durable
from pgflight.stream
where owner = $1 and stream_id = $2
