-- $1 bigint: lock key. Waits until nobody else migrates our own tables, to the end of the transaction.
select pg_catalog.pg_advisory_xact_lock($1)::text
