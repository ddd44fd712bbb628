-- Whether a transaction was committed: $1 uuid session, $2 bigint number. Waits for its end where it is committing, and takes its
-- number where it is not committed, so that a COMMIT that comes later fails. The answer holds once this is committed.
-- Result: one row: relation text (the table's oid), number bigint, void boolean.
insert into pgflight.last_commit as l (session, number, void) values ($1, $2, true)
on conflict (session) do update set
    number = greatest(l.number, excluded.number),
    void = l.void or l.number < excluded.number,
    at = pg_catalog.clock_timestamp()
returning l.tableoid::text as relation, l.number, l.void
