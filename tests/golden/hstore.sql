-- hstore
-- setup: create extension hstore;
select
  'a=>x, b=>NULL'::hstore as hstore_some,
  ''::hstore as hstore_empty
