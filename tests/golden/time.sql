-- time without time zone
select
  '00:00'::time as time_midnight,
  '12:34:56'::time as time_second,
  '12:34:56.789'::time as time_milli,
  '12:34:56.789012'::time as time_micro,
  '23:59:59.999999'::time as time_last,
  '24:00'::time as time_24,
  '12:34:56.789'::time(3) as time3_milli,
  '23:59:59'::time as time_last_second
