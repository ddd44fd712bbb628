-- How many rows of a stream were rejected, in all calls that wrote to it: $1 text owner, $2 text stream_id.
-- Result: rejected bigint.
select pg_catalog.count(*) as rejected from pgflight.reject where owner = $1 and stream_id = $2
