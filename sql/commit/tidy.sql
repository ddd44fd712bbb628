-- Removes rows of sessions that have not committed for long, some at a time. A row stays while any transaction runs that is older
-- than its last version: a COMMIT that comes very late must meet the number that was taken from it.
-- Result: one row per row removed.
delete from pgflight.last_commit where session in (
    select session from pgflight.last_commit
    where at < pg_catalog.now() - interval '7 days'
        and pg_catalog.age(xmin) > pg_catalog.age(pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.xid)
    limit 1000
    for update skip locked
)
returning session::text
