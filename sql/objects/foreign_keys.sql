-- Columns of foreign keys between tables; those of partitions are left out, because their parent has them.
-- Parameters: $1 text, $2 text  schema and table that is pointed to, each null for any
--             $3 text, $4 text  schema and table that the key is of, each null for any
--             $5 text  the schema of our own tables, which is left out
-- Result: to_schema, to_relation, to_column, from_schema, from_relation, from_column text, sequence int4 (from 1), key text,
-- to_key text or null, on_update "char", on_delete "char"; ordered by both tables, key and sequence.
select tn.nspname::pg_catalog.text as to_schema, t.relname::pg_catalog.text as to_relation, ta.attname::pg_catalog.text as to_column,
       fn.nspname::pg_catalog.text as from_schema, f.relname::pg_catalog.text as from_relation,
       fa.attname::pg_catalog.text as from_column, k.place::pg_catalog.int4 as sequence, o.conname::pg_catalog.text as key,
       (select p.conname::pg_catalog.text from pg_catalog.pg_constraint p
        where p.conindid operator(pg_catalog.=) o.conindid and p.conrelid operator(pg_catalog.=) o.confrelid
          and p.contype in ('p', 'u') limit 1) as to_key,
       o.confupdtype as on_update, o.confdeltype as on_delete
from pg_catalog.pg_constraint o
join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) o.confrelid
join pg_catalog.pg_namespace tn on tn.oid operator(pg_catalog.=) t.relnamespace
join pg_catalog.pg_class f on f.oid operator(pg_catalog.=) o.conrelid
join pg_catalog.pg_namespace fn on fn.oid operator(pg_catalog.=) f.relnamespace
cross join lateral rows from (pg_catalog.unnest(o.confkey), pg_catalog.unnest(o.conkey)) with ordinality as k (to_attnum, from_attnum, place)
join pg_catalog.pg_attribute ta on ta.attrelid operator(pg_catalog.=) t.oid and ta.attnum operator(pg_catalog.=) k.to_attnum
join pg_catalog.pg_attribute fa on fa.attrelid operator(pg_catalog.=) f.oid and fa.attnum operator(pg_catalog.=) k.from_attnum
where o.contype operator(pg_catalog.=) 'f' and not f.relispartition and not t.relispartition
  and tn.nspname operator(pg_catalog.!~) '^pg_' and fn.nspname operator(pg_catalog.!~) '^pg_'
  and tn.nspname operator(pg_catalog.<>) $5::pg_catalog.text::pg_catalog.name
  and fn.nspname operator(pg_catalog.<>) $5::pg_catalog.text::pg_catalog.name
  and ($1::pg_catalog.text is null or tn.nspname::pg_catalog.text operator(pg_catalog.=) $1::pg_catalog.text)
  and ($2::pg_catalog.text is null or t.relname::pg_catalog.text operator(pg_catalog.=) $2::pg_catalog.text)
  and ($3::pg_catalog.text is null or fn.nspname::pg_catalog.text operator(pg_catalog.=) $3::pg_catalog.text)
  and ($4::pg_catalog.text is null or f.relname::pg_catalog.text operator(pg_catalog.=) $4::pg_catalog.text)
  and pg_catalog.has_schema_privilege(tn.oid, 'USAGE') and pg_catalog.has_schema_privilege(fn.oid, 'USAGE')
order by tn.nspname, t.relname, fn.nspname, f.relname, o.conname, k.place
limit 100000
