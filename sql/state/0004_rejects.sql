-- Rows that were sent and not stored, written in the transaction of the rows beside them. row_values is NULL unless the
-- load asked for it.
create table pgflight.reject (
    id bigint generated always as identity primary key,
    load_id text not null,
    owner text not null,
    stream_id text,
    seq bigint,
    row_in_batch bigint,
    row_in_stream bigint not null,
    table_schema text,
    table_name text not null,
    column_name text,
    sqlstate text not null,
    constraint_name text,
    reason text not null,
    row_values json,
    rejected_at timestamp with time zone not null default pg_catalog.now()
);
create index reject_load on pgflight.reject (load_id);
create index reject_stream on pgflight.reject (owner, stream_id) where stream_id is not null
