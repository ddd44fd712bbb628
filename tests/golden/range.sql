-- range types
select
  int8range(1,5) as int8_half_open,
  numrange(1.5,2.5,'[]') as num_closed,
  numrange(1.5,2.5,'()') as num_open,
  numrange(1.5,2.5,'(]') as num_lower_open,
  numrange(1.5,2.5) as num_default,
  numrange(null,2.5) as num_no_lower,
  numrange(1.5,null) as num_no_upper,
  numrange(null,null,'()') as num_all,
  'empty'::numrange as num_empty,
  tsrange('2024-02-29 12:34:56','2024-03-01') as ts_some
