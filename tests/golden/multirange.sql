-- multirange types
select
  '{}'::int4multirange as int4_none,
  '{[1,5)}'::int4multirange as int4_one,
  '{[1,5),[7,9)}'::int4multirange as int4_two,
  '{(,1),[7,)}'::int4multirange as int4_open,
  '{(,)}'::int4multirange as int4_all,
  '{[1.5,2.5],(3,4)}'::nummultirange as num_two
