-- How a table stands: $1 integer table.
-- Result: journal_keys, pending, leased, done, empty, chunks bigint, oldest double precision, dead text (JSON),
-- rate double precision: rows per second of the last minute, trouble text (JSON): why vectors do not come.
select j.keys as journal_keys, s.pending, s.leased, s.done, s.empty, s.chunks,
    pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - least(j.oldest, s.oldest)) as oldest,
    coalesce(d.dead, '{}')::text as dead, s.lately / 60.0::double precision as rate, (
        select pg_catalog.jsonb_build_object(
            'code', t.code, 'message', t.message, 'left_alone', t.left_alone,
            'since_seconds', pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - t.since),
            'seen_seconds', pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - t.seen),
            'again_seconds', pg_catalog.date_part('epoch', t.again - pg_catalog.clock_timestamp())
        )
        from pgflight.embed_trouble t where t.table_id = $1
    )::text as trouble
from (
    select coalesce(pg_catalog.sum(case kind when 0 then row_count else 1 end), 0)::bigint as keys,
        pg_catalog.min(created_at) as oldest
    from pgflight.embed_journal where table_id = $1
) j, (
    select pg_catalog.count(*) filter (where state = 0) as pending,
        pg_catalog.count(*) filter (where state = 1) as leased,
        pg_catalog.count(*) filter (where state = 2) as done,
        pg_catalog.count(*) filter (where state = 4) as empty,
        pg_catalog.count(*) filter (where embedded_at > pg_catalog.now() - interval '60 seconds') as lately,
        coalesce(pg_catalog.sum(chunks) filter (where state in (0, 1, 2, 3)), 0)::bigint as chunks,
        pg_catalog.min(not_before) filter (where state in (0, 1)) as oldest
    from pgflight.embed_state where table_id = $1
) s, (
    select pg_catalog.jsonb_object_agg(code, rows) as dead
    from (
        select coalesce(err_code, 'unknown') as code, pg_catalog.count(*) as rows
        from pgflight.embed_state where table_id = $1 and state = 3 group by 1
    ) as reasons
) d
