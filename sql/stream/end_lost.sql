-- Ends the session that runs a transaction of ours, where it waits for its client: $1 text the transaction's xid8, $2 text the
-- start of the server that ran it.
-- Result: no row when the transaction is not running any more, else pid integer, ended boolean.
select pid, wait_event_type = 'Client' and pg_catalog.pg_terminate_backend(pid) as ended
from (
    select pid, coalesce(wait_event_type, '') as wait_event_type
    from pg_catalog.pg_stat_activity
    where backend_xid = ($1::pg_catalog.xid8)::pg_catalog.xid
        and usename = session_user
        and pg_catalog.pg_postmaster_start_time()::text = $2
    offset 0
) as session
