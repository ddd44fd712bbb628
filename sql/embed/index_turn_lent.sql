-- Takes the turn to build a table's vector index, to the end of the transaction, unless another one has it: $1 integer table.
-- Result: taken boolean.
select pg_catalog.pg_try_advisory_xact_lock(512024739, $1) as taken
