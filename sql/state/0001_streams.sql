-- Resumable streams: one row per stream, updated in the transaction that writes its rows.
-- The fill factor leaves room for the row's next version on the same page, so that no index is touched by an update.
create table pgflight.stream (
    owner text not null,
    stream_id text not null,
    target text not null,
    epoch bigint not null default 1,
    next_seq bigint not null default 0,
    token text,
    rows bigint not null default 0,
    last_hash bytea,
    status text not null default 'open' check (status in ('open', 'finalized')),
    result jsonb,
    opened_at timestamp with time zone not null default pg_catalog.now(),
    updated_at timestamp with time zone not null default pg_catalog.now(),
    primary key (owner, stream_id)
) with (fillfactor = 40)
