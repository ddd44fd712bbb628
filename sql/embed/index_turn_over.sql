-- Gives back the turn to build a table's vector index: $1 integer table.
-- Result: given_back boolean.
select pg_catalog.pg_advisory_unlock(512024739, $1) as given_back
