//! Round trips through real files of every format, and the sentences for input that does not fit.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::ArrowWriter;

use super::*;

mod odd;

/// A directory that is removed with everything in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("pgflight-source-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn sample() -> RecordBatch {
    let rows = 20_000_i64;
    let id = Int64Array::from_iter_values(0..rows);
    let name = StringArray::from_iter((0..rows).map(|row| (row % 7 != 0).then(|| format!("näme, \"{row}\"\n"))));
    let price = Decimal128Array::from_iter_values((0..rows).map(i128::from))
        .with_precision_and_scale(15, 2)
        .unwrap();
    RecordBatch::try_from_iter([
        ("id", Arc::new(id) as ArrayRef),
        ("name", Arc::new(name)),
        ("price", Arc::new(price)),
    ])
    .unwrap()
}

fn parquet_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_file_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn arrow_stream_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read_with(words: &[String], options: &TextOptions) -> Result<RecordBatch, SourceError> {
    let counter = Arc::new(AtomicU64::new(0));
    let (source, _) = open(expand(words)?, None, options, &counter)?;
    let schema = Arc::clone(source.schema());
    let batches = source.collect::<Result<Vec<_>, _>>()?;
    Ok(concat_batches(&schema, &batches).unwrap())
}

fn read(words: &[String]) -> Result<RecordBatch, SourceError> {
    read_with(words, &TextOptions::default())
}

fn refusal(words: &[String]) -> String {
    read(words).unwrap_err().to_string()
}

fn texts<'a>(batch: &'a RecordBatch, column: &str) -> Vec<Option<&'a str>> {
    batch
        .column_by_name(column)
        .unwrap()
        .as_string::<i32>()
        .iter()
        .collect()
}

#[test]
fn self_describing_formats_come_back_as_they_were_whatever_their_name() {
    let scratch = Scratch::new();
    let batch = sample();
    let files = [
        ("a.parquet", parquet_bytes(&batch)),
        ("b.bin", parquet_bytes(&batch)),
        ("c.arrow", arrow_file_bytes(&batch)),
        ("d", arrow_stream_bytes(&batch)),
        ("e.arrow.gz", gzip(&arrow_file_bytes(&batch))),
        (
            "f.arrows.zst",
            zstd::encode_all(arrow_stream_bytes(&batch).as_slice(), 1).unwrap(),
        ),
    ];
    for (name, bytes) in files {
        assert_eq!(read(&[scratch.file(name, bytes)]).unwrap(), batch, "{name}");
    }
}

#[test]
fn a_parquet_file_tells_its_rows_in_advance_and_text_counts_bytes() {
    let scratch = Scratch::new();
    let counter = Arc::new(AtomicU64::new(0));
    let inputs = expand(&[scratch.file("a.parquet", parquet_bytes(&sample()))]).unwrap();
    let (_, rows) = open(inputs, None, &TextOptions::default(), &counter).unwrap();
    assert_eq!(rows, Some(20_000));
    let counter = Arc::new(AtomicU64::new(0));
    let inputs = expand(&[scratch.file("a.csv", "a\n1\n")]).unwrap();
    let (source, rows) = open(inputs, None, &TextOptions::default(), &counter).unwrap();
    assert_eq!((source.count(), rows), (1, None));
    assert_eq!(counter.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[test]
fn csv_types_are_inferred_and_quoting_byte_order_mark_and_compression_are_understood() {
    let scratch = Scratch::new();
    let content =
        "\u{feff}id,zip,price,day,ok,note\n1,00501,1.50,2024-01-02,true,\"a, \"\"b\"\"\nc\"\n2,10001,,,FALSE,\n";
    let zstd = zstd::encode_all(content.as_bytes(), 1).unwrap();
    for file in [
        scratch.file("a.csv", content),
        scratch.file("a.csv.gz", gzip(content.as_bytes())),
        scratch.file("z.csv", zstd),
    ] {
        let batch = read(&[file]).unwrap();
        let expected = RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef, true),
            ("zip", Arc::new(StringArray::from(vec!["00501", "10001"])), true),
            ("price", Arc::new(Float64Array::from(vec![Some(1.5), None])), true),
            (
                "day",
                Arc::new(arrow::array::Date32Array::from(vec![Some(19_724), None])),
                true,
            ),
            ("ok", Arc::new(BooleanArray::from(vec![true, false])), true),
            (
                "note",
                Arc::new(StringArray::from(vec![Some("a, \"b\"\nc"), None])),
                true,
            ),
        ])
        .unwrap();
        assert_eq!(batch, expected);
    }
}

#[test]
fn csv_options_change_delimiter_header_null_and_types() {
    let scratch = Scratch::new();
    let options = TextOptions {
        delimiter: Some(b';'),
        header: false,
        null_text: "\\N".to_owned(),
        all_text: true,
        ..TextOptions::default()
    };
    let batch = read_with(&[scratch.file("a.csv", "1;\\N\n2;\n")], &options).unwrap();
    assert_eq!(texts(&batch, "column_1"), [Some("1"), Some("2")]);
    assert_eq!(texts(&batch, "column_2"), [None, Some("")]);
    let batch = read(&[scratch.file("a.tsv", "a\tb\n1\t2\n")]).unwrap();
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().value(0), 2);
    let batch = read(&[scratch.file("empty.csv", "a,b\n")]).unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (0, 2));
}

#[test]
fn a_csv_value_behind_the_sample_that_does_not_fit_is_refused_with_its_place() {
    let scratch = Scratch::new();
    let file = scratch.file("a.csv", "id,n\n1,1\n2,2\n3,007\n");
    let options = TextOptions {
        infer_rows: 2,
        ..TextOptions::default()
    };
    let error = read_with(std::slice::from_ref(&file), &options)
        .unwrap_err()
        .to_string();
    let expected = format!(
        "{file}, line 4, column \"n\": the value cannot be kept exactly as a 64-bit integer, the type inferred from the \
         first 2 rows; look at more rows with --infer-rows, or load the column as text with --text-columns n"
    );
    assert_eq!(error, expected);
    let text = TextOptions {
        infer_rows: 2,
        text_columns: vec!["n".to_owned()],
        ..TextOptions::default()
    };
    assert_eq!(
        texts(&read_with(&[file], &text).unwrap(), "n"),
        [Some("1"), Some("2"), Some("007")]
    );
}

#[test]
fn malformed_csv_is_refused_with_its_line() {
    let scratch = Scratch::new();
    let cases = [
        ("a,b\n1,2\n3\n", "line 3: the line has 1 fields where 2 are expected"),
        ("a,a\n1,2\n", "line 1: the header names the column \"a\" twice"),
        ("a,\n1,2\n", "line 1: column 2 has no name in the header line"),
        ("", "line 1: there are no columns: the input is empty"),
    ];
    for (content, expected) in cases {
        let error = refusal(&[scratch.file("a.csv", content)]);
        assert!(error.contains(expected), "{error}");
    }
    let error = refusal(&[scratch.file("a.csv", b"a\n\xff\n")]);
    assert!(error.contains("line 2: the line is not valid UTF-8"), "{error}");
}

#[test]
fn ndjson_keeps_numbers_strings_and_documents_exactly() {
    let scratch = Scratch::new();
    let content = concat!(
        "{\"id\":1,\"s\":\"05\",\"doc\":{\"x\":[1.10]},\"big\":1}\n\n",
        "{\"s\":null,\"id\":2,\"new\":\"\\u00e9\",\"big\":123456789012345678901234567890}\r\n",
    );
    for file in [
        scratch.file("a", content),
        scratch.file("b.jsonl.gz", gzip(content.as_bytes())),
    ] {
        let batch = read(&[file]).unwrap();
        assert_eq!(
            batch
                .column_by_name("id")
                .unwrap()
                .as_primitive::<Int64Type>()
                .values()
                .as_ref(),
            &[1, 2]
        );
        assert_eq!(texts(&batch, "s"), [Some("05"), None]);
        assert_eq!(texts(&batch, "doc"), [Some("{\"x\":[1.10]}"), None]);
        assert_eq!(
            texts(&batch, "big"),
            [Some("1"), Some("123456789012345678901234567890")]
        );
        assert_eq!(texts(&batch, "new"), [None, Some("é")]);
        let schema = batch.schema();
        let extension = |name: &str| {
            schema
                .field_with_name(name)
                .unwrap()
                .extension_type_name()
                .map(str::to_owned)
        };
        assert_eq!(
            (extension("doc").as_deref(), extension("s")),
            (Some("arrow.json"), None)
        );
    }
}

#[test]
fn malformed_ndjson_is_refused_with_its_line() {
    let scratch = Scratch::new();
    let cases = [
        (
            "{\"a\":1}\n{\"a\":}\n",
            "line 2: the line is not valid JSON (at character 6 of it)",
        ),
        (
            "{\"a\":1}\n[1]\n",
            "line 2: the line is not a JSON object; a JSON array must be split",
        ),
        ("{\"a\":1,\"a\":2}\n", "line 1: the key \"a\" occurs twice"),
    ];
    for (content, expected) in cases {
        let error = refusal(&[scratch.file("a.ndjson", content)]);
        assert!(error.contains(expected), "{error}");
    }
    let options = TextOptions {
        infer_rows: 1,
        ..TextOptions::default()
    };
    let file = scratch.file("late.ndjson", "{\"a\":1}\n{\"a\":1,\"b\":2}\n");
    let error = read_with(&[file], &options).unwrap_err().to_string();
    assert!(
        error.contains("line 2: the key \"b\" is new: no column for it was found in the first 1 rows"),
        "{error}"
    );
    let file = scratch.file("type.ndjson", "{\"a\":1}\n{\"a\":\"1\"}\n");
    let error = read_with(&[file], &options).unwrap_err().to_string();
    assert!(
        error.contains("line 2, column \"a\": the value cannot be kept exactly as a 64-bit integer"),
        "{error}"
    );
}

#[test]
fn many_files_are_one_table_with_types_that_hold_all_of_them() {
    let scratch = Scratch::new();
    scratch.file("part-1.csv", "a,b\n1,x\n");
    scratch.file("part-2.csv", "b,a\ny,2.5\n");
    let batch = read(&[format!("{}/part-*.csv", scratch.0.display())]).unwrap();
    assert_eq!(batch.schema().field(0).data_type(), &DataType::Float64);
    assert_eq!(texts(&batch, "b"), [Some("x"), Some("y")]);
    scratch.file("j-1.ndjson", "{\"a\":1,\"b\":2}\n");
    scratch.file("j-2.ndjson", "{\"c\":\"z\",\"b\":3}\n");
    let batch = read(&[format!("{}/j-*.ndjson", scratch.0.display())]).unwrap();
    assert_eq!(
        batch
            .column_by_name("b")
            .unwrap()
            .as_primitive::<Int64Type>()
            .values()
            .as_ref(),
        &[2, 3]
    );
    assert_eq!(texts(&batch, "c"), [None, Some("z")]);
}

#[test]
fn files_with_different_columns_are_refused_before_any_row_is_read() {
    let scratch = Scratch::new();
    let wide = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let other = RecordBatch::try_from_iter([("a", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]).unwrap();
    let first = scratch.file("1.parquet", parquet_bytes(&wide));
    let second = scratch.file("2.arrow", arrow_file_bytes(&other));
    let expected = format!(
        "{second} does not fit {first}: the column \"a\" is Int64 there and Utf8 here; all files of one load need the \
         same columns"
    );
    assert_eq!(refusal(&[first, second]), expected);
    let first = scratch.file("1.csv", "a,b\n1,2\n");
    let second = scratch.file("2.csv", "a\n1\n");
    assert!(refusal(&[first, second]).contains("it lacks \"b\""));
}

#[test]
fn words_that_name_nothing_are_refused() {
    let scratch = Scratch::new();
    let directory = scratch.0.to_str().unwrap().to_owned();
    assert_eq!(
        refusal(&["/nowhere/x*.csv".to_owned()]),
        "no file matches \"/nowhere/x*.csv\""
    );
    assert!(refusal(&[directory]).contains("is a directory"));
    assert!(refusal(&["-".to_owned(), "a".to_owned()]).starts_with("standard input (\"-\") can only be loaded alone"));
    let strange = scratch.file("strange[1].csv", "a\n1\n");
    assert_eq!(read(&[strange]).unwrap().num_rows(), 1);
    assert!(refusal(&[scratch.file("a.xyz", "hello")]).starts_with("cannot tell the format of "));
}

#[test]
fn files_that_are_cut_off_are_errors_not_shorter_tables() {
    let scratch = Scratch::new();
    let batch = sample();
    let stream = arrow_stream_bytes(&batch);
    let csv = gzip("a\n1\n2\n".repeat(1000).as_bytes());
    let files = [
        ("a.parquet", parquet_bytes(&batch)),
        ("b.arrow", arrow_file_bytes(&batch)),
        ("c.arrows", stream),
        ("d.csv.gz", csv),
    ];
    for (name, bytes) in files {
        let cut = bytes.get(..bytes.len() / 2).unwrap();
        assert!(Path::new(&scratch.file(name, cut)).exists());
        let error = refusal(&[scratch.file(name, cut)]);
        assert!(error.contains(name), "{error}");
    }
}
