-- The connected database and the schema where tables are looked for that are named without one.
-- Result: one row: database text, schema text (null where no schema of search_path exists).
select pg_catalog.current_database()::pg_catalog.text as database, pg_catalog.current_schema()::pg_catalog.text as schema
