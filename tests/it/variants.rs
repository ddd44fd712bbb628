//! Parquet variants through the real doors: as an Arrow extension type, and as a logical type of a Parquet file.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use parquet_variant::{Variant, VariantBuilder};
use serde_json::json;

use crate::load::{Scratch, load, text};
use crate::support::database::Database;
use crate::support::flight::{Flight, command, path};
use crate::support::server::Server;

type Encoded = (Vec<u8>, Vec<u8>);

/// An object of a number `n` and a day `d`.
fn object(n: i64) -> Encoded {
    let mut builder = VariantBuilder::new();
    let mut members = builder.new_object();
    members.insert("n", n);
    members.insert("d", Variant::Date(chrono::NaiveDate::default()));
    members.finish();
    builder.finish()
}

fn batch(rows: &[Option<Encoded>]) -> RecordBatch {
    let part = |of: fn(&Encoded) -> &Vec<u8>| -> ArrayRef {
        let cells = rows.iter().map(|row| row.as_ref().map_or(&[][..], |row| of(row)));
        Arc::new(BinaryViewArray::from_iter_values(cells))
    };
    let bytes = |name| Field::new(name, DataType::BinaryView, false);
    let fields = Fields::from(vec![bytes("metadata"), bytes("value")]);
    let nulls = rows.iter().map(Option::is_some).collect::<Vec<_>>().into();
    let variants = StructArray::new(fields, vec![part(|row| &row.0), part(|row| &row.1)], Some(nulls));
    let field = Field::new("v", variants.data_type().clone(), true);
    let field = field.with_metadata([("ARROW:extension:name", "arrow.parquet.variant")]);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(variants)]).expect("one column")
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_jsonb_and_a_damaged_one_is_a_bad_row() {
    let database = Database::create().await;
    let server = Server::start(&database).await;
    let mut flight = Flight::connect(&server).await;
    let mut damaged = object(3);
    damaged.1.pop();
    let rows = [
        batch(&[Some(object(i64::MIN)), None]),
        batch(&[Some(object(2)), Some(damaged)]),
    ];
    let error = flight.put(path(&["t"]), &rows).await.unwrap_err();
    let message = error.message();
    assert!(message.contains("row 3") && message.contains("\"v\""), "{message}");
    assert!(message.contains("no Parquet variant: it ends too early"), "{message}");
    let rejecting = command(json!({"table": "t", "on_bad_row": "reject", "max_rejects": 1}));
    flight.put(rejecting, &rows).await.expect("one row is rejected");
    let stored = database
        .lines("select pg_typeof(v) || ' ' || (v->>'n') || ' ' || (v->>'d')::date from t order by ctid")
        .await;
    assert_eq!(
        stored,
        ["jsonb -9223372036854775808 1970-01-01", "<null>", "jsonb 2 1970-01-01"]
    );
    let rejects = database
        .lines("select row_in_stream || ' ' || sqlstate from pgflight.reject")
        .await;
    assert_eq!(rejects, ["3 22P03"]);
}

/// A file of one row: a variant, a UUID and a JSON text by their logical types alone, without a schema of Arrow's.
fn file(variant: &Encoded) -> Vec<u8> {
    let bytes = |name, physical, logical, length| {
        let column = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        let column = column.with_length(length).with_repetition(Repetition::REQUIRED);
        Arc::new(column.build().expect("a valid column"))
    };
    let plain = |name| bytes(name, Physical::BYTE_ARRAY, None, -1);
    let variants = Type::group_type_builder("v")
        .with_logical_type(Some(LogicalType::variant(Some(1))))
        .with_repetition(Repetition::REQUIRED)
        .with_fields(vec![plain("metadata"), plain("value")]);
    let columns = vec![
        Arc::new(variants.build().expect("a valid column")),
        bytes("u", Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), 16),
        bytes("j", Physical::BYTE_ARRAY, Some(LogicalType::Json), -1),
    ];
    let root = Type::group_type_builder("m")
        .with_fields(columns)
        .build()
        .expect("a valid schema");
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(root), Arc::default()).expect("memory");
    let mut group = writer.next_row_group().expect("memory");
    put_bytes(&mut group, &variant.0);
    put_bytes(&mut group, &variant.1);
    let mut column = group.next_column().expect("memory").expect("a column");
    let uuid = FixedLenByteArray::from(ByteArray::from(vec![7; 16]));
    column
        .typed::<FixedLenByteArrayType>()
        .write_batch(&[uuid], None, None)
        .expect("memory");
    column.close().expect("memory");
    put_bytes(&mut group, b"[1]");
    group.close().expect("memory");
    writer.into_inner().expect("memory")
}

fn put_bytes<W: std::io::Write + Send>(group: &mut SerializedRowGroupWriter<'_, W>, bytes: &[u8]) {
    let mut column = group.next_column().expect("memory").expect("a column");
    let value = ByteArray::from(bytes.to_vec());
    column
        .typed::<ByteArrayType>()
        .write_batch(&[value], None, None)
        .expect("memory");
    column.close().expect("memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn logical_types_of_a_parquet_file_choose_the_columns() {
    let (scratch, database) = (Scratch::new(), Database::create().await);
    let server = Server::start(&database).await;
    let input = scratch.file("v.parquet", file(&object(5)));
    let output = load(&server.uri(), &[&input, "--table", "t"], "").await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let types = database
        .value("select concat_ws(' ', pg_typeof(v), pg_typeof(u), pg_typeof(j)) from t")
        .await;
    assert_eq!(types, "jsonb uuid jsonb");
    let stored = database.value("select concat_ws(' ', v->'n', u, j) from t").await;
    assert_eq!(stored, "5 07070707-0707-0707-0707-070707070707 [1]");
}
