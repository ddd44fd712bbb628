//! Values and layouts at the edges of what Arrow allows, through the real door: each lands as Postgres prints it here, or is
//! refused in one sentence that names column and row and says why.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use half::f16;
use serde_json::json;
use tonic::Code;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, messages};
use crate::support::server::Server;

/// A column and what Postgres prints of its rows.
type Exact = (&'static str, ArrayRef, Vec<&'static str>);

const NULL: &str = "<null>";

fn item(data_type: DataType) -> FieldRef {
    Arc::new(Field::new_list_field(data_type, true))
}

fn numbers() -> Vec<Exact> {
    let halves = [f16::NAN, f16::NEG_INFINITY, f16::from_bits(1), f16::MAX];
    let negative_scale = Decimal256Array::from(vec![Some(i256::from(-12_345_i64)), None, Some(i256::ZERO)]);
    let nines = i256::from_string(&"9".repeat(76)).expect("76 digits fit");
    let longest = Decimal256Array::from(vec![nines, -nines]);
    vec![
        (
            "doubles",
            Arc::new(Float64Array::from(vec![
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                -0.0,
                5e-324,
            ])),
            vec!["NaN", "Infinity", "-Infinity", "-0", "5e-324"],
        ),
        (
            "floats",
            Arc::new(Float32Array::from(vec![
                f32::NAN,
                f32::NEG_INFINITY,
                -0.0,
                1e-45,
                f32::MAX,
            ])),
            vec!["NaN", "-Infinity", "-0", "1e-45", "3.4028235e+38"],
        ),
        (
            "halves",
            Arc::new(Float16Array::from(halves.to_vec())),
            vec!["NaN", "-Infinity", "5.9604645e-08", "65504"],
        ),
        (
            "negative_scale",
            Arc::new(negative_scale.with_precision_and_scale(70, -3).expect("a valid array")),
            vec!["-12345000", NULL, "0"],
        ),
        (
            "longest",
            Arc::new(longest.with_precision_and_scale(76, -2).expect("a valid array")),
            vec![
                "999999999999999999999999999999999999999999999999999999999999999999999999999900",
                "-999999999999999999999999999999999999999999999999999999999999999999999999999900",
            ],
        ),
    ]
}

fn layouts() -> Vec<Exact> {
    let words: ArrayRef = Arc::new(StringArray::from(vec![
        Some("a"),
        None,
        Some("a text over twelve bytes"),
    ]));
    let keys = Int8Array::from(vec![Some(2), Some(1), None, Some(0), Some(2)]);
    let dictionary: ArrayRef = Arc::new(DictionaryArray::new(keys, words.clone()));
    let views = cast(&words, &DataType::Utf8View).expect("a cast");
    let viewed: ArrayRef = Arc::new(DictionaryArray::new(
        Int16Array::from(vec![Some(2), None, Some(1)]),
        views.clone(),
    ));
    let ends = Int32Array::from(vec![3, 5, 8]);
    let runs: ArrayRef = Arc::new(RunArray::<Int32Type>::try_new(&ends, &words).expect("valid runs"));
    let bytes = cast(&words, &DataType::BinaryView).expect("a cast");
    let flags: ArrayRef = Arc::new(BooleanArray::from_iter(
        (0..20).map(|n| (n % 5 != 0).then_some(n % 3 == 0)),
    ));
    vec![
        (
            "dictionary_of_nulls",
            dictionary.slice(1, 4),
            vec![NULL, NULL, "a", "a text over twelve bytes"],
        ),
        (
            "dictionary_of_views",
            viewed,
            vec!["a text over twelve bytes", NULL, NULL],
        ),
        (
            "runs",
            runs.slice(2, 4),
            vec!["a", NULL, NULL, "a text over twelve bytes"],
        ),
        ("views", views.slice(1, 2), vec![NULL, "a text over twelve bytes"]),
        ("byte_views", bytes.slice(0, 2), vec!["\\x61", NULL]),
        ("bits", flags.slice(9, 4), vec!["true", NULL, "false", "true"]),
    ]
}

fn nested() -> Vec<Exact> {
    let fields = Fields::from(vec![
        Field::new("n", DataType::Int32, true),
        Field::new("t", DataType::List(item(DataType::Utf8)), true),
    ]);
    let mut words = ListBuilder::new(StringBuilder::new());
    words.append_value([Some("x"), None]);
    words.append_null();
    words.append_value([] as [Option<&str>; 0]);
    let structs = StructArray::new(
        fields.clone(),
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(words.finish()),
        ],
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let lists = ListArray::new(
        item(DataType::Struct(fields)),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 2, 3])),
        Arc::new(structs),
        Some(NullBuffer::from(vec![true, false, true])),
    );
    let lists: ArrayRef = Arc::new(lists);
    let empty = FixedSizeListArray::try_new_with_length(
        item(DataType::Int32),
        0,
        Arc::new(Int32Array::from(Vec::<i32>::new())),
        Some(NullBuffer::from(vec![true, false, true])),
        3,
    );
    let ids = ScalarBuffer::from(vec![1_i8, 0, 1]);
    let members: [(i8, FieldRef); 2] = [
        (0, Arc::new(Field::new("n", DataType::Int64, true))),
        (1, Arc::new(Field::new("t", DataType::Utf8, true))),
    ];
    let children: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(7), Some(8), None])),
        Arc::new(StringArray::from(vec![Some("\"q\""), Some("hidden"), Some("x")])),
    ];
    let union = UnionArray::try_new(members.into_iter().collect(), ids, None, children);
    vec![
        (
            "list_of_struct_of_list",
            lists.clone(),
            vec![r#"[{"n": 1, "t": ["x", null]}, null]"#, NULL, r#"[{"n": 3, "t": []}]"#],
        ),
        ("its_end", lists.slice(1, 2), vec![NULL, r#"[{"n": 3, "t": []}]"#]),
        (
            "lists_of_nothing",
            Arc::new(empty.expect("a valid array")),
            vec!["{}", NULL, "{}"],
        ),
        (
            "sparse_union",
            Arc::new(union.expect("a valid array")),
            vec![r#""\"q\"""#, "8", r#""x""#],
        ),
    ]
}

fn times() -> Vec<Exact> {
    // 294276-12-31 23:59:59 and 4714-11-24 BC, the last and the first second of Postgres.
    let (last, first) = (9_224_318_015_999, -210_866_803_200);
    vec![
        (
            "seconds",
            Arc::new(TimestampSecondArray::from(vec![last, first])),
            vec!["294276-12-31 23:59:59", "4714-11-24 00:00:00 BC"],
        ),
        (
            "nanoseconds",
            Arc::new(TimestampNanosecondArray::from(vec![i64::MAX - 807, i64::MIN + 808]).with_timezone("Asia/Tokyo")),
            vec!["2262-04-11 23:47:16.854775+00", "1677-09-21 00:12:43.145225+00"],
        ),
        (
            "days",
            Arc::new(Date32Array::from(vec![2_145_042_905, -2_440_588])),
            vec!["5874897-12-31", "4714-11-24 BC"],
        ),
        (
            "durations",
            Arc::new(DurationMicrosecondArray::from(vec![i64::MAX, i64::MIN])),
            vec!["2562047788:00:54.775807", "-2562047788:00:54.775808"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrow_allows_at_its_edges_lands_exactly() {
    let database = Database::create().await;
    database.execute("set timezone = 'UTC'").await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for (name, array, printed) in [numbers(), layouts(), nested(), times()].concat() {
        let put = flight
            .put(command(json!({"table": name})), &[batch(vec![("value", array)])])
            .await;
        put.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let stored = database
            .lines(&format!("select value::text from \"{name}\" order by ctid"))
            .await;
        assert_eq!(stored, printed, "{name}");
    }
}

/// A column whose row 1 is bad, and the reason.
fn refused() -> Vec<(&'static str, ArrayRef, &'static str)> {
    const RANGE: &str = "outside the range";
    const NUL: &str = "NUL byte";
    let text = |text: &'static str| -> ArrayRef { Arc::new(StringArray::from(vec!["good", text])) };
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("good")]);
    list.append_value([Some("good"), Some("b\0d")]);
    let fields = Fields::from(vec![Field::new("t", DataType::Utf8, true)]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for keys in [["a", "b"], ["a", "a"]] {
        for key in keys {
            map.keys().append_value(key);
            map.values().append_value(1);
        }
        map.append(true).expect("a valid map");
    }
    vec![
        (
            "seconds",
            Arc::new(TimestampSecondArray::from(vec![0, 9_224_318_016_000])),
            RANGE,
        ),
        (
            "milliseconds",
            Arc::new(TimestampMillisecondArray::from(vec![0, i64::MIN])),
            RANGE,
        ),
        (
            "before_the_first",
            Arc::new(TimestampSecondArray::from(vec![0, -210_866_803_201])),
            RANGE,
        ),
        ("days", Arc::new(Date32Array::from(vec![0, i32::MAX])), RANGE),
        ("first_days", Arc::new(Date32Array::from(vec![0, i32::MIN])), RANGE),
        ("half_days", Arc::new(Date64Array::from(vec![0, 1])), "time of day"),
        (
            "times",
            Arc::new(Time64MicrosecondArray::from(vec![0, 86_400_000_001])),
            RANGE,
        ),
        ("negative_times", Arc::new(Time32SecondArray::from(vec![0, -1])), RANGE),
        (
            "durations",
            Arc::new(DurationSecondArray::from(vec![0, i64::MIN])),
            RANGE,
        ),
        ("texts", text("b\0d"), NUL),
        (
            "views",
            cast(&text("b\0d, and not short"), &DataType::Utf8View).expect("a cast"),
            NUL,
        ),
        ("list", Arc::new(list.finish()), NUL),
        (
            "structs",
            Arc::new(StructArray::new(fields, vec![text("b\0d")], None)),
            NUL,
        ),
        ("maps", Arc::new(map.finish()), "key"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_has_no_place_for_is_refused_by_row_with_its_reason() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for (name, array, reason) in refused() {
        let batch = batch(vec![("value", array)]);
        let error = flight.put(command(json!({"table": name})), &[batch]).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{name}: {error:?}");
        for part in [reason, "row 1", "value"] {
            assert!(error.message().contains(part), "{name}: {part:?} is not in {error:?}");
        }
        let kept = database.value(&format!("select to_regclass('{name}') is null")).await;
        assert_eq!(kept, "t", "{name}: no row and no table of a load that failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_utf_8_are_refused_before_any_row() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    for layout in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a text that is marked somewhere"]));
        let words = cast(&words, &layout).expect("a cast");
        let mut messages = messages(command(json!({"table": "t"})), &[batch(vec![("value", words)])]);
        let last = messages.last_mut().expect("a batch");
        let mut body = last.data_body.to_vec();
        let place = body
            .windows(6)
            .position(|bytes| bytes == b"marked")
            .expect("the text is in the body");
        body[place] = 0xff;
        last.data_body = body.into();
        let error = flight.send(messages).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{layout}: {error:?}");
        assert!(error.message().to_lowercase().contains("utf"), "{layout}: {error:?}");
        assert!(
            !error.message().contains("marked"),
            "values are not in messages: {error:?}"
        );
        assert_eq!(database.value("select to_regclass('t') is null").await, "t");
    }
}

/// A column of nulls has no bytes that could bound how many there are, and working memory is made for each of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_more_nulls_than_memory_holds_is_refused_and_the_server_lives_on() {
    const HONEST: i64 = 1_234_567;
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, HONEST]));
    let nulls = Arc::new(NullArray::new(HONEST as usize));
    let lists: ArrayRef = Arc::new(LargeListArray::new(item(DataType::Null), offsets, nulls, None));
    let honest = messages(command(json!({"table": "t"})), &[batch(vec![("value", lists)])]);
    let mut hostile = honest.clone();
    let last = hostile.last_mut().expect("a batch");
    let claimed = |bytes: &[u8]| -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let (from, to) = (HONEST.to_le_bytes(), (1_i64 << 40).to_le_bytes());
        while let Some(at) = bytes.windows(8).position(|window| window == from) {
            bytes[at..at + 8].copy_from_slice(&to);
        }
        bytes
    };
    last.data_header = claimed(&last.data_header).into();
    last.data_body = claimed(&last.data_body).into();
    let error = flight.send(hostile).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert!(
        error.message().contains("which the batch has no bytes for"),
        "{error:?}"
    );
    flight
        .send(honest)
        .await
        .expect("the server lives on, and takes what is true");
}
