-- what the server says of itself
select
  '(0,1)'::tid as tid_first,
  '(4294967295,65535)'::tid as tid_last,
  'cursor'::refcursor as refcursor_some,
  '1 -2 32767'::int2vector as int2vector_some,
  '0 4294967295'::oidvector as oidvector_some,
  '10:20:10,14,15'::pg_snapshot as pg_snapshot_some,
  '5:5:'::pg_snapshot as pg_snapshot_none,
  '10:20:10,14,15'::txid_snapshot as txid_snapshot_some,
  '1259'::regclass as regclass_some,
  '-'::regproc as regproc_none,
  '4294967295'::regtype as regtype_unknown
