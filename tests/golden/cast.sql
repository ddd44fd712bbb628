-- values as Postgres writes them as text
select
  (-5::int4)::text as int_some,
  (18446744073709551615::numeric)::text as uint64_max,
  (true)::text as bool_true,
  (false)::text as bool_false,
  (0.1::float8)::text as float8_tenth,
  (1e15::float8)::text as float8_big,
  ('NaN'::float8)::text as float8_nan,
  (1e6::float4)::text as float4_big,
  (1.00005)::text as numeric_some,
  (-0.50)::text as numeric_negative,
  ('2024-02-29'::date)::text as date_some,
  ('0001-01-01 BC'::date)::text as date_bc,
  ('12:34:56.789'::time)::text as time_some,
  ('2024-02-29 12:34:56.789012'::timestamp)::text as timestamp_some,
  ('2024-02-29 12:34:56+00'::timestamptz)::text as timestamptz_some,
  ('00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid)::text as uuid_some
