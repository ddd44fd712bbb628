-- hstore
-- setup: create extension hstore;
select
  'a=>x, b=>NULL'::hstore as hstore_some,
  '""=>"", "n"=>"NULL", "a b"=>"\"\\"'::hstore as hstore_quotes,
  ''::hstore as hstore_empty
