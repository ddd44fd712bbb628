-- days and instants that are no place in time; Arrow has none of them, text has
select
  'infinity'::date as date_last_of_all,
  '-infinity'::date as date_first_of_all,
  'infinity'::timestamp as timestamp_last_of_all,
  '-infinity'::timestamp as timestamp_first_of_all,
  'infinity'::timestamptz as timestamptz_last_of_all,
  '-Infinity'::timestamptz as timestamptz_first_of_all
