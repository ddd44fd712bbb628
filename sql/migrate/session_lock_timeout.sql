-- Sets lock_timeout for the session, for statements that cannot run in a transaction.
-- Parameters: $1 text  the timeout with its unit, e.g. '500ms'
-- Result: one row, `before text`: the lock_timeout that was in force, to be put back.
select pg_catalog.current_setting('lock_timeout') as before,
       pg_catalog.set_config('lock_timeout', $1::pg_catalog.text, false) as now
