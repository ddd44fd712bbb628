-- How a transaction ended, as far as the server's own bookkeeping tells: $1 text its xid8, $2 integer pid and $3 text start of a
-- session that was there before its COMMIT.
-- After a crash numbers of transactions that never reached the disk are given to others. A crash ends all sessions, so that one
-- that is still there proves that the number was not given again.
-- Result: status text ("committed", "aborted", "in progress" or null when too old), same_run boolean.
-- An error (22023) means that the server never handed out that number, so that the transaction is not committed.
select pg_catalog.pg_xact_status($1::pg_catalog.xid8) as status,
    exists (
        select from pg_catalog.pg_stat_activity
        where pid = $2 and extract(epoch from backend_start)::text = $3
    ) as same_run
