//! Messages that take more memory than they have bytes, and values at the edge of what is taken.

use std::collections::HashMap;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use super::*;

fn named(metadata: &[(&str, &str)]) -> SchemaRef {
    let metadata = [("cq:table_name", "t")].iter().chain(metadata);
    let metadata: HashMap<String, String> = metadata
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let fields = vec![Field::new("v", DataType::Int64, true)];
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

fn record(schema: &SchemaRef, columns: Vec<ArrayRef>, compression: Option<CompressionType>) -> Bytes {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), schema, options).unwrap();
    if !columns.is_empty() {
        let batch = RecordBatch::try_new(Arc::clone(schema), columns).unwrap();
        writer.write(&batch).unwrap();
    }
    writer.into_inner().unwrap().into()
}

fn zeros(rows: usize) -> Vec<ArrayRef> {
    vec![Arc::new(Int64Array::from(vec![0; rows]))]
}

fn read(decoder: &mut Decoder, record: Bytes) -> Result<Command, RequestError> {
    decoder.read(Some(Message::Insert(pb::write::MessageInsert { record })))
}

#[test]
fn a_compressed_record_counts_what_it_unpacks_to() {
    let rows = 1 << 17;
    for (compression, most_sent) in [
        (None, usize::MAX),
        (Some(CompressionType::ZSTD), 64 << 10),
        (Some(CompressionType::LZ4_FRAME), 64 << 10),
    ] {
        let bytes = record(&named(&[]), zeros(rows), compression);
        assert!(bytes.len() < most_sent, "{} bytes are sent", bytes.len());
        let Command::Insert(record) = read(&mut Decoder::default(), bytes).unwrap() else {
            panic!("an insert is one");
        };
        assert!((rows * 8..rows * 9).contains(&record.bytes), "{}", record.bytes);
        assert_eq!(record.batch().unwrap().num_rows(), rows);
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
    assert_eq!(memory(10, 5), Ok(10));
    assert_eq!(memory(10, MOST_UNPACKED_BYTES), Ok(MOST_UNPACKED_BYTES));
    assert_eq!(
        memory(MOST_UNPACKED_BYTES + 7, MOST_UNPACKED_BYTES + 7),
        Ok(MOST_UNPACKED_BYTES + 7)
    );
    let refused = memory(10, MOST_UNPACKED_BYTES + 1).unwrap_err();
    assert!(refused.contains("unpacks to 268435457 bytes"), "{refused}");
    // Each for itself would pass.
    let one = record(&named(&[]), zeros(17 << 20 >> 3), Some(CompressionType::ZSTD));
    let predicates = vec![
        pb::Predicate {
            operator: 0,
            column: "v".to_owned(),
            record: one,
        };
        16
    ];
    let delete = pb::write::MessageDeleteRecord {
        table_name: "t".to_owned(),
        where_clause: vec![pb::PredicatesGroup {
            grouping_type: 0,
            predicates,
        }],
        table_relations: Vec::new(),
    };
    let refused = condition_bytes(&delete).unwrap_err().to_string();
    assert!(
        refused.contains("delete_record from t") && refused.contains("unpacks to"),
        "{refused}"
    );
}

#[test]
fn a_condition_keeps_its_value_and_not_the_record_that_it_came_in() {
    let words = StringArray::from_iter_values((0..10_000).map(|n| format!("word {n}")));
    let schema = Arc::new(Schema::new(vec![Field::new("w", DataType::Utf8, true)]));
    let one = pb::Predicate {
        operator: 0,
        column: "w".to_owned(),
        record: record(&schema, vec![Arc::new(words)], None),
    };
    let value = predicate("t", one).unwrap().value;
    assert_eq!(value.num_rows(), 1);
    assert!(
        value.get_array_memory_size() < 4096,
        "{}",
        value.get_array_memory_size()
    );
}

#[test]
fn schemas_are_kept_up_to_a_number_of_bytes_and_not_beyond() {
    let mut decoder = Decoder::default();
    let filling = "x".repeat(3 << 20);
    for number in 0..24 {
        let schema = named(&[("filling", &filling), ("number", &number.to_string())]);
        let bytes = record(&schema, zeros(1), None);
        read(&mut decoder, bytes).unwrap();
        let kept: usize = decoder.tables.keys().map(Bytes::len).sum();
        assert!((1..=CACHED_BYTES).contains(&kept), "{kept}");
        assert!(decoder.cached_bytes <= CACHED_BYTES, "{}", decoder.cached_bytes);
    }
    let much = "x".repeat(MOST_SCHEMA_BYTES);
    let refused = read(&mut decoder, record(&named(&[("filling", &much)]), zeros(1), None)).unwrap_err();
    assert!(refused.to_string().contains("insert: the schema takes"), "{refused}");
}

#[test]
fn a_sync_time_is_in_the_years_that_a_timestamp_has() {
    let at = |seconds, nanos| {
        #[expect(deprecated, reason = "the message has a field that nobody sends any more")]
        let delete = pb::write::MessageDeleteStale {
            table: Bytes::new(),
            source_name: "s".to_owned(),
            sync_time: Some(prost_types::Timestamp { seconds, nanos }),
            table_name: "t".to_owned(),
        };
        delete_stale(delete).map(|command| command.sync_time)
    };
    assert_eq!(at(0, 5).unwrap(), SystemTime::UNIX_EPOCH + Duration::from_nanos(5));
    assert!(at(-62_135_596_800, 0).is_ok() && at(253_402_300_799, 999_999_999).is_ok());
    for (seconds, nanos) in [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (i64::MAX, 0),
        (i64::MIN, 0),
        (0, -1),
        (0, 1_000_000_000),
    ] {
        let refused = at(seconds, nanos).unwrap_err().to_string();
        assert!(refused.contains("years 1 to 9999"), "{refused}");
    }
}
