-- date
select
  '1970-01-01'::date as date_unix,
  '2000-01-01'::date as date_pg,
  '2024-02-29'::date as date_leap,
  '1969-12-31'::date as date_before,
  '4714-11-24 BC'::date as date_first,
  '5874897-12-31'::date as date_last,
  '0001-01-01 BC'::date as date_bc
