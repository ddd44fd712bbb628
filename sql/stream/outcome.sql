-- How a transaction ended: $1 text its xid8, $2 text the start of the server that ran it.
-- Result: status text ("committed", "aborted", "in progress" or null when too old), same_server boolean.
-- An error means that the server never handed out that xid, so that it has not committed.
select pg_catalog.pg_xact_status($1::pg_catalog.xid8) as status,
    pg_catalog.pg_postmaster_start_time()::text = $2 as same_server
