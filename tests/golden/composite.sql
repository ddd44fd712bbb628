-- row types; OIDs of the attributes are those of built-in types
-- setup: create type golden_row as (a int4, b text, c int4[]);
select
  row(1,'x',array[1,2])::golden_row as row_full,
  row(null,'y',null)::golden_row as row_nulls,
  row(-5,'','{}')::golden_row as row_empty_text
