-- uuid
select
  '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid as uuid_counting,
  '00000000-0000-0000-0000-000000000000'::uuid as uuid_nil,
  'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid as uuid_max
