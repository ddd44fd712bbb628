-- Notes why vectors do not come: $1 integer table, $2 text code, $3 text message, $4 boolean left alone, $5 double precision
-- seconds since the first failure, $6 double precision seconds since the last one, $7 double precision seconds to the next request.
insert into pgflight.embed_trouble (table_id, code, message, left_alone, since, seen, again)
values (
    $1, $2, $3, $4, pg_catalog.clock_timestamp() - $5 * interval '1 second',
    pg_catalog.clock_timestamp() - $6 * interval '1 second', pg_catalog.clock_timestamp() + $7 * interval '1 second'
)
on conflict (table_id) do update set code = excluded.code, message = excluded.message, left_alone = excluded.left_alone,
    since = excluded.since, seen = excluded.seen, again = excluded.again
