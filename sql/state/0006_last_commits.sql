-- The last transaction of a session of ours, written in that transaction: what tells how one ended whose answer to COMMIT was
-- lost. A session counts its transactions, and each number is taken once: by the transaction that commits with it, or (void)
-- by whoever asked and found it not committed, so that it never will be.
-- The fill factor leaves room for the row's next version on the same page, so that no index is touched by an update.
create table pgflight.last_commit (
    session uuid primary key,
    number bigint not null,
    void boolean not null default false,
    at timestamp with time zone not null default pg_catalog.clock_timestamp()
) with (fillfactor = 40)
