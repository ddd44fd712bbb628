//! Every type that a column can have: read back and compared, by Postgres itself, with what the table holds.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::*;
use serde_json::json;

use super::get;
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::server::Server;

/// Type and literals; every column gets a NULL as well.
pub(super) const COLUMNS: &[(&str, &[&str])] = &[
    ("bool", &["t", "f"]),
    ("\"char\"", &["a", "~", "", "\\351"]),
    ("int2", &["-32768", "32767"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("float4", &["1.5", "-3.4028235e38", "NaN", "Infinity", "1e-45"]),
    (
        "float8",
        &["0.1", "-1.7976931348623157e308", "NaN", "-Infinity", "5e-324"],
    ),
    (
        "numeric",
        &[
            "0",
            "-0.00012300",
            "123456789012345678901234567890.5",
            "NaN",
            "Infinity",
            "1e100",
            "1e-20",
        ],
    ),
    ("numeric(10,2)", &["99999999.99", "-0.01", "0"]),
    (
        "numeric(38,10)",
        &["9999999999999999999999999999.9999999999", "-0.0000000001"],
    ),
    (
        "numeric(76,38)",
        &[
            "99999999999999999999999999999999999999.00000000000000000000000000000000000001",
            "-1",
        ],
    ),
    ("numeric(100,2)", &["1e97", "0.25"]),
    ("numeric(20,0)", &["18446744073709551615", "-1"]),
    ("numeric(5,-2)", &["9999900", "-100"]),
    ("numeric(2,5)", &["0.00099", "-0.00001"]),
    ("money", &["12.34", "-0.01", "-$92,233,720,368,547,758.08", "1234567"]),
    ("oid", &["0", "4294967295"]),
    ("xid", &["1", "4294967295"]),
    ("cid", &["7"]),
    ("xid8", &["18446744073709551615"]),
    ("pg_lsn", &["16/B374D848", "FFFFFFFF/FFFFFFFF"]),
    ("text", &["", "grüß €𝄞", "a\tb\\c"]),
    ("varchar(5)", &["grüße"]),
    ("char(5)", &["ab", "abcde"]),
    ("name", &["pg_class"]),
    ("json", &["{\"b\": 1,  \"a\": [null]}", "3"]),
    ("jsonb", &["{\"b\": 1, \"a\": [1e400, \"\\u00fc\"]}", "null"]),
    ("jsonpath", &["$.\"a\"[*]"]),
    ("bytea", &["\\x", "\\x00ff5c"]),
    ("uuid", &["00010203-0405-0607-0809-0a0b0c0d0e0f"]),
    ("date", &["4714-11-24 BC", "1969-12-31", "2024-02-29", "5874897-12-31"]),
    ("time", &["00:00:00", "23:59:59.999999", "24:00:00"]),
    ("time(3)", &["12:34:56.789"]),
    ("timetz", &["12:34:56.7+02", "00:00:00-15:59:59"]),
    ("timetz(1)", &["12:34:56.7+02"]),
    (
        "timestamp",
        &[
            "4714-11-24 00:00:00 BC",
            "1969-12-31 23:59:59.999999",
            "294246-12-31 23:59:59.999999",
        ],
    ),
    ("timestamp(0)", &["2024-02-29 12:34:56"]),
    (
        "timestamptz",
        &["1969-12-31 23:59:59.999999+00", "2024-02-29 12:34:56.789012+00"],
    ),
    (
        "interval",
        &["1 year 2 mons -3 days 04:05:06.000007", "-1 mons", "00:00:00"],
    ),
    ("interval(2)", &["00:00:01.25"]),
    ("interval year to month", &["1 year 2 mons"]),
    ("interval day to hour", &["1 year -3 days 04:00:00"]),
    ("interval day to second(3)", &["00:00:00.125"]),
    (
        "inet",
        &[
            "192.168.0.1",
            "10.1.2.3/8",
            "::1",
            "2001:db8::1/64",
            "::ffff:1.2.3.4",
            "::1.2.3.4",
        ],
    ),
    ("cidr", &["10.0.0.0/8", "192.168.0.1/32", "2001:db8::/32"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("bit(3)", &["101"]),
    ("varbit", &["", "1010101011"]),
    ("varbit(12)", &["1010101011"]),
    ("point", &["(1.5,-2)"]),
    ("line", &["{1,2,3}"]),
    ("lseg", &["[(1,2),(3,4)]"]),
    ("box", &["(3,4),(1,2)"]),
    ("path", &["[(1,2),(3,4)]"]),
    ("polygon", &["((1,2),(3,4),(5,6))"]),
    ("circle", &["<(1,2),3>"]),
    ("int4range", &["[1,5)", "empty", "(,)"]),
    ("int8range", &["[1,9223372036854775807)"]),
    ("numrange", &["(1.50,NaN]"]),
    ("daterange", &["[2024-01-01,infinity)"]),
    ("tsrange", &["[\"2024-01-01 00:00:00\",infinity]"]),
    ("tstzrange", &["[\"2024-01-01 00:00:00+00\",)"]),
    ("int4multirange", &["{[1,3),[5,7)}", "{}"]),
    ("int8multirange", &["{(,7)}"]),
    ("nummultirange", &["{[1.5,2.50]}"]),
    ("datemultirange", &["{[2024-01-01,2024-02-01)}"]),
    ("tsmultirange", &["{(\"2024-01-01 00:00:00\",)}"]),
    ("tstzmultirange", &["{(,\"2024-01-01 00:00:00+00\")}"]),
    ("tsvector", &["'a':1 'b'", "", "'it''s \\\\':1A,16383C '€'"]),
    ("tsquery", &["'a' & 'b'", "!( 'a' | 'it''s':*AB ) <-> ( 'b' <3> 'c' )"]),
    ("tid", &["(0,1)", "(4294967295,65535)"]),
    ("refcursor", &["grüß"]),
    ("int2vector", &["1 -2 32767"]),
    ("oidvector", &["0 4294967295"]),
    ("pg_snapshot", &["10:20:10,14,15", "5:5:"]),
    ("txid_snapshot", &["10:20:10,14,15"]),
    // No such objects, so that numbers are printed and not names.
    ("regclass", &["4294967294", "-"]),
    ("regcollation", &["4294967294"]),
    ("regconfig", &["4294967294"]),
    ("regdictionary", &["4294967294"]),
    ("regnamespace", &["4294967294"]),
    ("regoper", &["4294967294"]),
    ("regoperator", &["4294967294"]),
    ("regproc", &["4294967294"]),
    ("regprocedure", &["4294967294"]),
    ("regrole", &["4294967294"]),
    ("regtype", &["4294967294"]),
    ("mood", &["sad", "très happy"]),
    ("positive", &["7"]),
    ("pair", &["(1,\"x y\")", "(,)"]),
    ("nested", &["(\"(1,x)\",\"{1,NULL}\")"]),
    ("vector(3)", &["[1.5,-2,0]"]),
    ("vector", &["[1,2]"]),
    ("halfvec(2)", &["[0.25,-1]"]),
    ("halfvec", &["[0.25]"]),
    ("sparsevec(5)", &["{1:1.5,5:-2}/5"]),
    ("sparsevec", &["{}/3"]),
    ("int4[]", &["{}", "{1,NULL,-3}"]),
    ("text[]", &["{\"a b\",\"\",NULL,\"NULL\",\"\\\"\\\\\"}"]),
    ("numeric[]", &["{1.50,NaN}"]),
    ("numeric(6,2)[]", &["{1.50,-2}"]),
    ("uuid[]", &["{00010203-0405-0607-0809-0a0b0c0d0e0f}"]),
    ("jsonb[]", &["{\"{\\\"a\\\": 1}\",NULL}"]),
    ("timestamptz[]", &["{\"2024-02-29 12:34:56+00\"}"]),
    ("inet[]", &["{10.0.0.1,::1/64}"]),
    ("mood[]", &["{sad,\"très happy\"}"]),
    ("pair[]", &["{\"(1,x)\",NULL}"]),
    ("vector(2)[]", &["{\"[1,2]\",NULL}"]),
    ("point[]", &["{\"(1,2)\"}"]),
    ("interval(2)[]", &["{00:00:01.25,NULL}"]),
    ("int4range[]", &["{\"[1,5)\",empty}"]),
    ("tsvector[]", &["{\"'a':1 'b'\"}"]),
    ("money[]", &["{\"$1,234.50\"}"]),
];

const TYPES: &str = "create extension if not exists vector;
    create type mood as enum ('sad', 'très happy');
    create domain positive as int4 check (value > 0);
    create type pair as (a int4, b text);
    create type nested as (p pair, l int4[])";

/// Makes the table `t` with all columns and literals, and returns the number of its rows.
pub(super) async fn fill(database: &Database) -> usize {
    database.execute(TYPES).await;
    fill_with(database, COLUMNS).await
}

/// Makes the table `t` with columns `c0`, `c1`, ... of these types.
pub(super) async fn fill_with(database: &Database, columns: &[(&str, &[&str])]) -> usize {
    let rows = columns.iter().map(|(_, literals)| literals.len()).max();
    let rows = rows.expect("there are columns") + 1;
    let declared: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(n, (ty, _))| format!("c{n} {ty}"))
        .collect();
    database
        .execute(&format!("create table t (row int4, {})", declared.join(", ")))
        .await;
    for row in 0..rows {
        let values: Vec<_> = columns
            .iter()
            .map(|(ty, literals)| match literals.get(row) {
                Some(literal) => format!("'{}'::{ty}", literal.replace('\'', "''")),
                None => "null".to_owned(),
            })
            .collect();
        database
            .execute(&format!("insert into t values ({row}, {})", values.join(", ")))
            .await;
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_read_as_what_the_table_holds() {
    for version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        let rows = fill(&database).await;
        let server = Server::start(&database).await;
        let read = get(&server, json!({"table": "t"})).await.unwrap();
        assert_eq!(read.num_rows(), rows);
        let order = read.column(0).as_primitive::<Int32Type>().values().to_vec();
        let mut wrong = Vec::new();
        for (n, (ty, literals)) in COLUMNS.iter().enumerate() {
            let array = read.column(n + 1);
            for (at, row) in order.iter().enumerate() {
                let is_null = *row as usize >= literals.len();
                if is_null != array.is_null(at) {
                    wrong.push(format!("{ty} row {row}: NULL is {}", array.is_null(at)));
                } else if !is_null {
                    let expression = expression(array, at, ty);
                    let same = format!(
                        "select {expression} is not distinct from {} from t where row = {row}",
                        held(n, ty)
                    );
                    match database.client().query_one(&same, &[]).await {
                        Ok(same_row) if same_row.get::<_, bool>(0) => {}
                        Ok(_) => wrong.push(format!("{ty} row {row}: {expression}")),
                        Err(error) => wrong.push(format!("{ty} row {row}: {same}: {error:?}")),
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "PostgreSQL {version}:\n{}", wrong.join("\n"));
        server.stop().await;
    }
}

/// Types that are read as the payload of their send function.
fn send_function(ty: &str) -> Option<String> {
    let bare = ty.split_once('(').map_or(ty, |(bare, _)| bare);
    Some(match bare {
        "point" | "line" | "lseg" | "box" | "path" | "circle" => format!("{bare}_send"),
        "polygon" => "poly_send".to_owned(),
        "sparsevec" | "pg_snapshot" | "txid_snapshot" => format!("{bare}_send"),
        "tsvector" | "tsquery" | "tid" | "int2vector" | "oidvector" => format!("{bare}send"),
        "refcursor" => "textsend".to_owned(),
        _ if bare.starts_with("reg") => format!("{bare}send"),
        _ if bare.ends_with("multirange") => "multirange_send".to_owned(),
        _ if bare.ends_with("range") => "range_send".to_owned(),
        _ => return None,
    })
}

/// What the table holds, in a form that can be compared.
fn held(n: usize, ty: &str) -> String {
    let element = ty.strip_suffix("[]").and_then(send_function);
    match (send_function(ty), element) {
        (_, Some(send)) => format!("array(select {send}(e) from unnest(c{n}) as e)::text"),
        // It has no send function of its own.
        (Some(send), None) if ty == "refcursor" => format!("{send}(c{n}::text)"),
        (Some(send), None) => format!("{send}(c{n})"),
        (None, None) => format!("c{n}::text"),
    }
}

/// An SQL expression for what was read.
fn expression(array: &ArrayRef, row: usize, ty: &str) -> String {
    match ty {
        _ if ty.strip_suffix("[]").and_then(send_function).is_some() => {
            format!("{}::text", value(array, row, "bytea[]"))
        }
        _ if send_function(ty).is_some() => value(array, row, "bytea"),
        "pg_lsn" => format!(
            "('0/0'::pg_lsn + {}::numeric)::text",
            array.as_primitive::<UInt64Type>().value(row)
        ),
        _ => format!("{}::text", value(array, row, ty)),
    }
}

fn value(array: &ArrayRef, row: usize, ty: &str) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    let day = |days: i64| format!("('1970-01-01'::date + {days})");
    let micro = |micros: i64| format!("{micros} * '1 microsecond'::interval");
    match array.data_type() {
        DataType::Int64 if ty == "money" => {
            let cents = array.as_primitive::<Int64Type>().value(row);
            let (sign, cents) = (if cents < 0 { "-" } else { "" }, cents.unsigned_abs());
            format!("'{sign}{}.{:02}'::money", cents / 100, cents % 100)
        }
        DataType::Utf8 => quoted(array.as_string::<i32>().value(row), ty),
        DataType::Binary => format!("'\\x{}'::bytea", hex(array.as_binary::<i32>().value(row))),
        DataType::FixedSizeBinary(_) => format!("'{}'::{ty}", hex(array.as_fixed_size_binary().value(row))),
        DataType::Date32 => day(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Time64(_) => match array.as_primitive::<Time64MicrosecondType>().value(row) {
            86_400_000_000 => "'24:00'::time".to_owned(),
            micros => format!("('00:00'::time + {})", micro(micros)),
        },
        DataType::Timestamp(_, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
            // Not by adding to a timestamp at once: a product of an interval is a float of 53 bits.
            let zone = if zone.is_some() { " at time zone 'UTC'" } else { "" };
            format!("(({} + {}){zone})", day(days), micro(rest))
        }
        DataType::Interval(_) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let micros = micro(value.nanoseconds / 1_000);
            format!(
                "(make_interval(months => {}, days => {}) + {micros})",
                value.months, value.days
            )
        }
        DataType::List(_) if !matches!(ty, "vector" | "halfvec") => {
            let element = ty.strip_suffix("[]").expect("a list is an array");
            let list = array.as_list::<i32>().value(row);
            let elements: Vec<_> = (0..list.len()).map(|at| value(&list, at, element)).collect();
            format!("array[{}]::{ty}", elements.join(", "))
        }
        DataType::List(_) => floats(&array.as_list::<i32>().value(row), ty),
        DataType::FixedSizeList(..) => floats(&array.as_fixed_size_list().value(row), ty),
        DataType::Struct(fields) => {
            let fields = fields.iter().zip(array.as_struct().columns());
            let values: Vec<_> = fields
                .map(|(field, child)| value(child, row, attribute(field.name())))
                .collect();
            format!("row({})::{ty}", values.join(", "))
        }
        _ => {
            let text = arrow::util::display::array_value_to_string(array, row).expect("it can be shown");
            quoted(&text, ty)
        }
    }
}

fn attribute(name: &str) -> &'static str {
    match name {
        "a" => "int4",
        "b" => "text",
        "p" => "pair",
        "l" => "int4[]",
        other => panic!("no attribute {other}"),
    }
}

fn quoted(text: &str, ty: &str) -> String {
    format!("E'{}'::{ty}", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn floats(list: &ArrayRef, ty: &str) -> String {
    let numbers = (0..list.len()).map(|at| arrow::util::display::array_value_to_string(list, at).expect("a number"));
    format!("'[{}]'::{ty}", numbers.collect::<Vec<_>>().join(","))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
