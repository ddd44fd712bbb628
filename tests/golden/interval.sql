-- interval
select
  '00:00:00'::interval as interval_zero,
  '90 seconds'::interval as interval_second,
  '-1.5 seconds'::interval as interval_milli,
  '0.000001 seconds'::interval as interval_micro,
  '100000:00:00'::interval as interval_hours,
  '14 months'::interval as interval_months,
  '-1 months'::interval as interval_minus_months,
  '3 days -0.25 seconds'::interval as interval_days,
  '14 months -3 days 01:02:03.000004'::interval as interval_mixed,
  make_interval(months => 2147483647) as interval_max_months,
  '9223372036854.775807 seconds'::interval as interval_max_micros,
  '1 year 00:00:01.25'::interval(2) as interval_two_digits,
  '14 months'::interval year to month as interval_to_month,
  '1 year 2 mons -3 days 04:00:00'::interval day to hour as interval_to_hour,
  '-2 years'::interval year as interval_years,
  '5 days 00:07:00'::interval minute as interval_minutes,
  '00:00:00.125'::interval day to second(3) as interval_to_milli
