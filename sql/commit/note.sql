-- Notes in a transaction, before its COMMIT, that it is the one of this number: $1 uuid session, $2 bigint number.
-- Fails (23502) where the number is taken.
insert into pgflight.last_commit as l (session, number) values ($1, $2)
on conflict (session) do update set
    number = case when l.number < excluded.number then excluded.number end,
    void = false,
    at = pg_catalog.clock_timestamp()
