-- How much a new run would cost: $1 integer table.
-- Result: rows bigint, tokens bigint.
select pg_catalog.count(*) as rows, coalesce(pg_catalog.sum(tokens), 0)::bigint as tokens
from pgflight.embed_state
where table_id = $1
