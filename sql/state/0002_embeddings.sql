-- Embeddings: which tables are embedded and how, what every row's chunks were made of, and which rows were touched since.
create table pgflight.embed_table (
    id integer generated always as identity primary key,
    source_schema text not null,
    source_name text not null,
    target_schema text not null,
    target_name text not null,
    unique (source_schema, source_name, target_schema, target_name)
);
create table pgflight.embed_config (
    id integer generated always as identity primary key,
    table_id integer not null references pgflight.embed_table on delete cascade,
    fingerprint bytea not null,
    spec jsonb not null,
    active boolean not null,
    created_at timestamp with time zone not null default pg_catalog.now(),
    unique (table_id, fingerprint)
);
-- A load writes one row per chunk, in the transaction of its rows: the keys as COPY BINARY tuples without header and
-- trailer. kind 0: these keys; 1: all rows of the table from block next_block on; 2: as 1, then what has no row any more.
create table pgflight.embed_journal (
    id bigint generated always as identity primary key,
    table_id integer not null,
    kind smallint not null default 0,
    prio smallint not null default 0,
    row_count integer not null default 0,
    key_types text[] not null default '{}',
    keys bytea,
    next_block bigint not null default 0,
    created_at timestamp with time zone not null default pg_catalog.now()
);
-- Keys are too varied for compression to be worth its time.
alter table pgflight.embed_journal alter column keys set storage external;
create index embed_journal_table on pgflight.embed_journal (table_id, id);
-- state 0 pending, 1 leased, 2 done, 3 given up, 4 done and without text. prio 0 live, 5 sweep.
create table pgflight.embed_state (
    table_id integer not null,
    row_key bytea not null,
    pk jsonb not null,
    want_hash bytea not null,
    want_cfg integer not null,
    gen bigint not null default 1,
    have_hash bytea,
    have_cfg integer,
    chunks integer not null default 0,
    tokens integer not null default 0,
    embedded_at timestamp with time zone,
    state smallint not null default 0,
    prio smallint not null default 0,
    attempts smallint not null default 0,
    not_before timestamp with time zone not null default pg_catalog.now(),
    lease_owner bigint,
    lease_until timestamp with time zone,
    err_code text,
    err_msg text,
    err_at timestamp with time zone,
    primary key (table_id, row_key)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create index embed_state_waiting on pgflight.embed_state (table_id, prio, not_before) where state in (0, 1)
