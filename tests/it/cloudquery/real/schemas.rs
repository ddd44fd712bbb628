//! The tables of the source as the Go plugin would make them: types, keys and names from the type map and the migration
//! rules of the `cloudquery` profile.

/// The columns that the CLI puts in front.
pub(super) const FRONT: [&str; 2] = ["_cq_sync_time timestamp without time zone", "_cq_source_name text"];

pub(super) const ORDERS: [&str; 11] = [
    "_cq_id uuid!",
    "_cq_parent_id uuid",
    "account text!",
    "number bigint!",
    "label text",
    "quantity bigint!",
    "document jsonb",
    "placed_at timestamp without time zone",
    "address inet",
    "hardware macaddr",
    "tags text[]",
];

/// Types of the SDK's test table, by column; each also has a list, JSON apart, and all of these have maps.
const TYPES: [(&str, &str); 39] = [
    ("id", "bigint"),
    ("int8", "smallint"),
    ("int16", "smallint"),
    ("int32", "integer"),
    ("int64", "bigint"),
    ("uint8", "smallint"),
    ("uint16", "integer"),
    ("uint32", "bigint"),
    ("uint64", "numeric(20,0)"),
    ("float32", "real"),
    ("float64", "double precision"),
    ("binary", "bytea"),
    ("string", "text"),
    ("boolean", "boolean"),
    ("uuid", "uuid"),
    ("inet", "inet"),
    ("mac", "macaddr"),
    ("json", "jsonb"),
    ("date32", "date"),
    ("date64", "date"),
    ("duration_s", "text"),
    ("duration_ms", "text"),
    ("duration_us", "text"),
    ("duration_ns", "text"),
    ("interval_month", "text"),
    ("interval_day_time", "text"),
    ("interval_month_day_nano", "text"),
    ("large_binary", "bytea"),
    ("large_string", "text"),
    ("time32_s", "time without time zone"),
    ("time32_ms", "time without time zone"),
    ("time64_us", "time without time zone"),
    ("time64_ns", "time without time zone"),
    ("timestamp_s", "timestamp without time zone"),
    ("timestamp_ms", "timestamp without time zone"),
    ("timestamp_us", "timestamp without time zone"),
    ("timestamp_ns", "timestamp without time zone"),
    ("decimal128", "numeric(19,10)"),
    ("struct", "text"),
];

/// Columns of the table with every type.
pub(super) fn every_type() -> Vec<String> {
    let mut columns: Vec<String> = FRONT.map(str::to_owned).to_vec();
    columns.extend(["_cq_id uuid!".to_owned(), "_cq_parent_id uuid".to_owned()]);
    for (name, data_type) in TYPES {
        let mark = if name == "id" { "!" } else { "" };
        columns.push(format!("{name} {data_type}{mark}"));
    }
    let lists = TYPES.into_iter().filter(|(name, _)| *name != "json");
    columns.extend(
        lists
            .clone()
            .map(|(name, data_type)| format!("{name}_list {data_type}[]")),
    );
    let plain = TYPES.into_iter().map(|(name, _)| name.to_owned());
    for name in plain.chain(lists.map(|(name, _)| format!("{name}_list"))) {
        columns.extend([format!("string_{name}_map text"), format!("int_{name}_map text")]);
    }
    columns
}

/// Columns of the top table, with what the CLI puts in front of them.
pub(super) fn orders(front: &[&str]) -> Vec<String> {
    front.iter().chain(&ORDERS).map(|column| (*column).to_owned()).collect()
}
