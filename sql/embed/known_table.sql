-- The ledger's entry of an embedded table: $1 text source schema, $2 text source, $3 text target schema, $4 text target.
-- Result: id integer, fingerprint bytea, spec text, rows bigint, tokens bigint; no row where it has none.
select t.id, c.fingerprint, c.spec::text as spec, s.rows, s.tokens
from pgflight.embed_table t
join pgflight.embed_config c on c.table_id = t.id and c.active
cross join lateral (
    select pg_catalog.count(*) as rows, coalesce(pg_catalog.sum(e.tokens), 0)::bigint as tokens
    from pgflight.embed_state e where e.table_id = t.id
) s
where t.source_schema = $1 and t.source_name = $2 and t.target_schema = $3 and t.target_name = $4 and not t.retired
