-- boolean
select
  true as bool_true,
  false as bool_false,
  null::boolean as bool_null
