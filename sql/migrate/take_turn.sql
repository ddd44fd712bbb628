-- Waits for the table's migration lock, which lasts until the transaction ends and blocks nobody but other migrators.
-- Parameters: $1 text  lock_timeout for the wait, e.g. '30000ms'
--             $2 int8  key of the table (postgres::migrate)
-- Result: one row, `before text`: the lock_timeout that was in force, to be put back.
select pg_catalog.current_setting('lock_timeout') as before,
       pg_catalog.set_config('lock_timeout', $1::pg_catalog.text, true) as during,
       pg_catalog.pg_advisory_xact_lock($2::pg_catalog.int8) as lock
