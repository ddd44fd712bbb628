-- Makes a configuration the active one: $1 integer table, $2 bytea fingerprint, $3 text spec (JSON).
-- Result: id integer.
with old as (
    update pgflight.embed_config set active = false where table_id = $1 and active and fingerprint <> $2
)
insert into pgflight.embed_config (table_id, fingerprint, spec, active)
values ($1, $2, $3::jsonb, true)
on conflict (table_id, fingerprint) do update set active = true
returning id
