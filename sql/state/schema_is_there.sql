-- $1 text: schema. Whether it exists: CREATE SCHEMA IF NOT EXISTS asks for CREATE on the database also where it does.
-- Result: there boolean.
select exists (select from pg_catalog.pg_namespace n where n.nspname = $1) as there
