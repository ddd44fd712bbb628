-- Embeddings: why the vectors of a table do not come, as the worker that asked last saw it; no row when it got an answer.
create table pgflight.embed_trouble (
    table_id integer primary key references pgflight.embed_table on delete cascade,
    code text not null,
    message text not null,
    left_alone boolean not null,
    since timestamp with time zone not null,
    seen timestamp with time zone not null,
    again timestamp with time zone not null
)
