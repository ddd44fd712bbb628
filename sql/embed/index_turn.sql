-- Takes the turn to build a table's vector index, for this session, unless another one has it: $1 integer table.
-- Result: taken boolean.
select pg_catalog.pg_try_advisory_lock(512024739, $1) as taken
