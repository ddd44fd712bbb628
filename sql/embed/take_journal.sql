-- Takes the journal of a table for this transaction, unless another one has it: $1 integer table.
-- Result: taken boolean.
select pg_catalog.pg_try_advisory_xact_lock(512024738, $1) as taken
