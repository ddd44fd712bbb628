-- tsvector and tsquery, in the form in which Postgres prints them and in some that it only reads
select
  ''::tsvector as vector_empty,
  '''a'':1 ''b'''::tsvector as vector_some,
  '''cat'':3 ''fat'':2A,4B,16383C ''rat'''::tsvector as vector_weights,
  'b a:2,1B b:1 a:2C'::tsvector as vector_merged,
  '''it''''s'':1 ''x y'' ''\\'':7'::tsvector as vector_quotes,
  '''grüß'':1 ''€'' ''𝄞'''::tsvector as vector_unicode,
  '''ab'' ''a'' ''b'' ''abc'' ''B'''::tsvector as vector_order,
  '''a'''::tsquery as query_one,
  '''a'' & ''b'' & ''c'''::tsquery as query_and,
  '''a'' | ''b'' & !''c'' <-> ''d'' <3> ''e'':*AB'::tsquery as query_mixed,
  '!( ''a'' | ''b'' ) & !!''c'''::tsquery as query_not,
  '''it''''s'' <0> ''x y'':D & ( ''\\'' | ''grüß'':* )'::tsquery as query_quotes,
  '( ''a'' <-> ''b'' ) <-> ''c'' | ''a'' <-> ( ''b'' <-> ''c'' )'::tsquery as query_phrases,
  'a&b|c'::tsquery as query_bare
