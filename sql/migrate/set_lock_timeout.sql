-- Sets lock_timeout until the end of the transaction.
-- Parameters: $1 text  the timeout with its unit, e.g. '500ms'
-- Result: one row, `now text`.
select pg_catalog.set_config('lock_timeout', $1::pg_catalog.text, true) as now
