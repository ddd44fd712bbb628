-- The migrations of our own tables that were applied. Versions are the numbers of the files beside this one.
create table if not exists pgflight.migration (
    version integer primary key,
    applied_at timestamp with time zone not null default pg_catalog.now()
)
