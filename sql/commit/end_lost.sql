-- Ends the session that runs a transaction of ours, where it waits for its client: $1 integer its pid, $2 text the start of the
-- transaction (seconds since 1970), $3 text the transaction's xid8. Each of them may be another's after a crash, all three cannot.
-- Result: no row when the transaction is not running any more, else ended boolean.
select wait_event_type = 'Client' and pg_catalog.pg_terminate_backend(pid) as ended
from (
    select pid, coalesce(wait_event_type, '') as wait_event_type
    from pg_catalog.pg_stat_activity
    where pid = $1
        and extract(epoch from xact_start)::text = $2
        and backend_xid = ($3::pg_catalog.xid8)::pg_catalog.xid
    offset 0
) as session
