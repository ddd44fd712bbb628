-- types whose payload is their text
-- setup: create type golden_enum as enum ('one', 'zwei');
select
  ''::text as text_empty,
  'hello'::text as text_ascii,
  'grüß €𝄞'::text as text_unicode,
  repeat('0123456789', 30)::text as text_long,
  null::text as text_null,
  E'a\tb\\c\n'::text as text_tab,
  'grüße'::varchar(5) as varchar_limit,
  'abcde'::char(5) as bpchar_limit,
  'pg_class'::name as name_some,
  repeat('n', 63)::name as name_longest,
  '{"a": [1, null]}'::json as json_some,
  '12'::jsonb as jsonb_number,
  '"x"'::jsonb as jsonb_string,
  '{"a": [1, null]}'::jsonb as jsonb_object,
  '$."a"'::jsonpath as jsonpath_some,
  'a'::"char" as char_a,
  ''::"char" as char_zero,
  'one'::golden_enum as enum_one,
  'zwei'::golden_enum as enum_two,
  'MiXed'::text as citext_some
