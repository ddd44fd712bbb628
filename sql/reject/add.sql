-- Notes rejected rows: $1 text load_id, $2 text owner, $3 text stream_id, $4 text table schema, $5 text table; then one
-- element per row: $6 seq, $7 row_in_batch, $8 row_in_stream, $9 column, $10 sqlstate, $11 constraint, $12 reason, $13 values.
insert into pgflight.reject (
    load_id, owner, stream_id, table_schema, table_name,
    seq, row_in_batch, row_in_stream, column_name, sqlstate, constraint_name, reason, row_values
)
select $1::text, $2::text, $3::text, $4::text, $5::text,
    r.seq, r.row_in_batch, r.row_in_stream, r.column_name, r.sqlstate, r.constraint_name, r.reason, r.row_values::json
from unnest(
    $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]
) as r (seq, row_in_batch, row_in_stream, column_name, sqlstate, constraint_name, reason, row_values)
order by r.row_in_stream
