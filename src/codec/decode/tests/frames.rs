//! The stream around the fields: pieces that split anywhere, and bytes that are no COPY BINARY.

use super::*;

/// Two columns of all kinds of rows.
fn sample() -> (Vec<u8>, impl Fn() -> TableDecoder) {
    let rows: Vec<_> = (0..5i32)
        .map(|n| {
            let text = (n != 2).then(|| "x".repeat(n as usize).into_bytes());
            vec![Some(n.to_be_bytes().to_vec()), text]
        })
        .collect();
    let make = || {
        let columns = [
            (&PgType::Int4, default_field(&PgType::Int4)),
            (&PgType::Text, default_field(&PgType::Text)),
        ];
        decoder(
            &columns,
            BatchLimits {
                rows: 2,
                bytes: 1 << 20,
            },
        )
    };
    (copied(&rows), make)
}

#[test]
fn pieces_may_split_anywhere() {
    let (stream, make) = sample();
    let whole = decode(make(), [Bytes::from(stream.clone())]).unwrap();
    assert_eq!(whole.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 2, 1]);
    for at in 0..=stream.len() {
        let (head, tail) = stream.split_at(at);
        let pieces = [Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)];
        assert_eq!(decode(make(), pieces).unwrap(), whole, "split at {at}");
    }
    for size in 1..9 {
        let pieces = stream.chunks(size).map(Bytes::copy_from_slice);
        assert_eq!(decode(make(), pieces).unwrap(), whole, "pieces of {size}");
    }
}

#[test]
fn pieces_may_be_fed_before_batches_are_taken() {
    let (stream, make) = sample();
    let whole = decode(make(), [Bytes::from(stream.clone())]).unwrap();
    let mut late = make();
    for piece in stream.chunks(7) {
        late.feed(Bytes::copy_from_slice(piece));
    }
    let mut batches = Vec::new();
    while let Some(batch) = late.batch().unwrap() {
        batches.push(batch);
    }
    batches.extend(late.finish().unwrap());
    assert_eq!(batches, whole);
}

#[test]
fn a_stream_cut_short_is_an_error_and_never_a_short_table() {
    let (stream, make) = sample();
    for length in 0..stream.len() {
        let result = decode(make(), [Bytes::copy_from_slice(&stream[..length])]);
        let message = result.expect_err("a cut stream is no table").to_string();
        assert!(message.contains("ends without the trailer"), "{length}: {message}");
    }
}

#[test]
fn bytes_that_are_no_copy_are_refused_by_what_is_wrong() {
    let (stream, make) = sample();
    let with = |at: usize, bytes: &[u8]| {
        let mut stream = stream.clone();
        stream[at..at + bytes.len()].copy_from_slice(bytes);
        decode(make(), [Bytes::from(stream)]).unwrap_err().to_string()
    };
    assert!(with(0, b"X").contains("signature"));
    assert!(with(11, &[0, 1, 0, 0]).contains("flags"));
    assert!(with(15, &[0xff; 4]).contains("extension"));
    assert!(with(19, &[0, 3]).contains("3 fields, 2 were asked for"));
    assert!(with(21, &[0xff, 0xff, 0xff, 0xfe]).contains("a length is negative"));
    let more = [&stream[..], b"\0"].concat();
    assert!(
        decode(make(), [Bytes::from(more)])
            .unwrap_err()
            .to_string()
            .contains("after the trailer")
    );
}

#[test]
fn a_header_extension_is_skipped() {
    let (stream, make) = sample();
    let extended = [&stream[..15], &[0, 0, 0, 3, 9, 9, 9], &stream[19..]].concat();
    let batches = decode(make(), [Bytes::from(extended)]).unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
}

#[test]
fn a_field_that_cannot_be_read_names_table_place_and_type() {
    let rows = vec![
        vec![Some(vec![0, 0, 0, 1])],
        vec![Some(i32::MAX.to_be_bytes().to_vec())],
    ];
    let decoder = decoder(&[(&PgType::Date, default_field(&PgType::Date))], BatchLimits::default());
    let message = decode(decoder, [Bytes::from(copied(&rows))]).unwrap_err().to_string();
    assert_eq!(
        message,
        "column \"c\", row 1 of the answer (counted from 0): date cannot be read as Date32: the value is infinite, which the type cannot hold; ask for Utf8 to get it as text"
    );
}

#[test]
fn null_is_refused_where_the_field_asked_for_has_none() {
    let field = Field::new("c", DataType::Int32, false);
    let rows = copied(&[vec![None]]);
    let error = decode(
        decoder(&[(&PgType::Int4, field)], BatchLimits::default()),
        [Bytes::from(rows)],
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            DecodeError::Field {
                fault: Fault::Null,
                row: 0,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_table_without_columns_has_rows() {
    let rows = copied(&[vec![], vec![], vec![]]);
    let batches = decode(decoder(&[], BatchLimits::default()), [Bytes::from(rows)]).unwrap();
    assert_eq!(batches[0].num_rows(), 3);
}
