-- ltree, an extension of contrib
-- setup: create extension if not exists ltree;
select
  'Top.Science.Astronomy'::ltree as ltree_some,
  'a'::ltree as ltree_one,
  ''::ltree as ltree_empty,
  'Top.*{1,2}.!a|b@*'::lquery as lquery_some,
  '*'::lquery as lquery_any
