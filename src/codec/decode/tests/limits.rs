//! Batches of bounded size, and bytes that are wrong in every way that chance finds.

use proptest::prelude::*;

use super::*;

fn texts(sizes: &[usize], limits: BatchLimits) -> Vec<usize> {
    let rows: Vec<_> = sizes.iter().map(|size| vec![Some(vec![b'x'; *size])]).collect();
    let decoder = decoder(&[(&PgType::Text, default_field(&PgType::Text))], limits);
    let batches = decode(decoder, [Bytes::from(copied(&rows))]).unwrap();
    batches.iter().map(RecordBatch::num_rows).collect()
}

#[test]
fn a_batch_ends_before_the_row_that_would_exceed_it() {
    let limits = BatchLimits {
        rows: 100,
        bytes: 1_000,
    };
    assert_eq!(texts(&[400, 400, 400, 10], limits), [2, 2]);
    assert_eq!(texts(&[10, 5_000, 10], limits), [1, 1, 1]);
    assert_eq!(texts(&[1; 250], limits).iter().sum::<usize>(), 250);
    assert_eq!(texts(&[], limits), [0usize; 0]);
    assert_eq!(
        texts(
            &[1; 5],
            BatchLimits {
                rows: 2,
                bytes: 1 << 20
            }
        ),
        [2, 2, 1]
    );
}

#[test]
fn nulls_of_wide_types_count_by_what_they_take_in_arrow() {
    let ty = PgType::Vector(Some(1_000), TypeHome::default());
    let rows: Vec<_> = (0..10).map(|_| vec![None]).collect();
    let limits = BatchLimits {
        rows: 100,
        bytes: 9_000,
    };
    let batches = decode(
        decoder(&[(&ty, default_field(&ty))], limits),
        [Bytes::from(copied(&rows))],
    )
    .unwrap();
    assert_eq!(batches[0].num_rows(), 3, "a NULL vector is 4000 bytes of zeros");
}

#[test]
fn cut_and_lengthened_fields_are_errors() {
    for golden in goldens() {
        let (Some(ty), Some(payload)) = (golden.ty, golden.payload) else {
            continue;
        };
        // Text and bytes of any length are values.
        if matches!(
            ty,
            PgType::Text | PgType::Json | PgType::Jsonb | PgType::JsonPath | PgType::Bytea | PgType::Range(_)
        ) {
            continue;
        }
        for length in 0..payload.len() {
            assert!(
                one(&ty, default_field(&ty), &payload[..length]).is_err(),
                "{} cut to {length}",
                golden.name
            );
        }
        let longer = [&payload[..], &[0]].concat();
        assert!(
            one(&ty, default_field(&ty), &longer).is_err(),
            "{} with a byte more",
            golden.name
        );
    }
}

proptest! {
    #[test]
    fn changed_bytes_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), case in any::<prop::sample::Index>()) {
        let goldens: Vec<_> = goldens().into_iter().filter(|golden| golden.payload.as_ref().is_some_and(|p| !p.is_empty())).collect();
        let golden = case.get(&goldens);
        let mut payload = golden.payload.clone().unwrap();
        let place = at.index(payload.len());
        payload[place] = byte;
        for ty in every_type() {
            drop(one(&ty, default_field(&ty), &payload));
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for ty in every_type() {
            drop(one(&ty, default_field(&ty), &bytes));
        }
        let columns = [(&PgType::Int4, default_field(&PgType::Int4))];
        drop(decode(decoder(&columns, BatchLimits::default()), [Bytes::from(bytes)]));
    }
}
