-- bytea
select
  ''::bytea as bytea_empty,
  '\x00ff10'::bytea as bytea_some,
  decode(repeat('00ff',40),'hex') as bytea_long,
  '\x000102030405060708090a0b0c0d0e0f'::bytea as bytea_16,
  null::bytea as bytea_null
