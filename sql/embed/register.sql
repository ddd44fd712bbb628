-- Gives an embedded table its number: $1 text source schema, $2 text source, $3 text target schema, $4 text target. Locks it.
-- Result: id integer.
insert into pgflight.embed_table (source_schema, source_name, target_schema, target_name)
values ($1, $2, $3, $4)
on conflict (source_schema, source_name, target_schema, target_name) do update set source_name = excluded.source_name
returning id
