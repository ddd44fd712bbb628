-- geometric types and time with time zone
select
  '(1.5,-2)'::point as point_some,
  '{1,-1,0}'::line as line_some,
  '[(0,0),(1,2.5)]'::lseg as lseg_some,
  '(3,4),(1,2)'::box as box_some,
  '(1,4),(3,2)'::box as box_turned,
  '[(0,0),(1,1),(2,0)]'::path as path_open,
  '((0,0),(1,1),(2,0))'::path as path_closed,
  '((0,0),(1,1),(2,0))'::polygon as polygon_some,
  '<(1,2),3>'::circle as circle_some,
  '12:34:56.789+05:30'::timetz as timetz_east,
  '12:34:56-08'::timetz as timetz_west,
  '12:34:56+00'::timetz as timetz_utc
