//! Bytes that are no variant, or one that takes more than its size to read: a bad row with a reason, and nothing worse.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};

use super::{documents, encoded, refusal, scalars, split, stored, variant_field};
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::tests::{batch, encode, golden, plan_with};
use crate::model::pg_type::PgType;

/// An object of one member `a`, or of the members `a` and `b` that begin at the same place; 1 byte per offset.
fn nested(level: &[u8], members: u8) -> Vec<u8> {
    let length = u32::try_from(level.len()).unwrap().to_le_bytes();
    let mut value = vec![2 | 3 << 2, members];
    value.extend(0..members);
    value.extend([0; 4].repeat(members.into()));
    value.extend(length);
    value.extend_from_slice(level);
    value
}

fn names() -> Vec<u8> {
    vec![1, 2, 0, 1, 2, b'a', b'b']
}

#[test]
fn depth_and_work_of_a_variant_are_bounded() {
    let levels = |levels: usize, members| (0..levels).fold(vec![0], |value, _| nested(&value, members));
    let found = refusal(&stored(&[(names(), levels(257, 1))]));
    assert!(found.ends_with("it is nested deeper than 256 levels"), "{found}");
    let text = encoded(&stored(&[(names(), levels(256, 1))])).unwrap();
    assert!(text.ends_with(&[b"null".as_slice(), &[b'}'; 256]].concat()));
    // 2^200 values, for a reader that does not count.
    let found = refusal(&stored(&[(names(), levels(200, 2))]));
    assert!(found.ends_with("values in it lie over each other"), "{found}");
}

#[test]
fn bytes_that_are_no_variant_are_refused_with_a_reason() {
    let cases: [(&[u8], &[u8], &str); 14] = [
        (&[], &[0], "it ends too early"),
        (&[2, 0, 0], &[0], "its metadata is not of version 1"),
        (&[1, 0, 0], &[], "it ends too early"),
        (&[1, 0, 0], &[21 << 2], "it has a type that version 1 does not know"),
        (&[1, 0, 0], &[4 << 2, 1], "it ends too early"),
        (&[1, 0, 0], &[2 << 2 | 1, 0xff, 0xff], "a text in it is not UTF-8"),
        (&[1, 0, 0], &[16 << 2, 0xff, 0xff, 0xff, 0xff, 0], "it ends too early"),
        (
            &[1, 0, 0],
            &[8 << 2, 39, 0, 0, 0, 0],
            "a decimal in it has a scale over 38",
        ),
        (
            &[1, 0, 0],
            &[17 << 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            "a time in it is outside the day",
        ),
        (&[1, 0, 0], &[2, 1, 0, 0, 1, 0], "a field's name is not in its metadata"),
        (&[1, 1, 0, 1, 0xff], &[2, 1, 0, 0, 1, 0], "a field's name is not UTF-8"),
        (
            &[1, 2, 0, 1, 2, b'a', b'b'],
            &[2, 2, 1, 0, 0, 1, 2, 0, 0],
            "an object in it has names that are not in order, or one twice",
        ),
        (&[1, 0, 0], &[3, 2, 0, 9, 1, 0], "it ends too early"),
        // "aab", of which both names are most.
        (
            &[1, 3, 0, 2, 1, 3, b'a', b'a', b'b'],
            &[2, 2, 0, 2, 0, 1, 2, 0, 0],
            "names in its metadata lie over each other",
        ),
    ];
    for (metadata, value, reason) in cases {
        let found = refusal(&stored(&[(metadata.to_vec(), value.to_vec())]));
        assert!(found.ends_with(reason), "{metadata:?} {value:?}: {found}");
    }
}

#[test]
fn damaged_variants_never_harm_the_rows_beside_them() {
    let (names, rows) = split(scalars().into_iter().chain(documents()).collect());
    let cases = golden("variant");
    let plan_for = stored(&rows);
    let source = variant_field(plan_for.data_type());
    let plan = plan_with(&source, &PgType::Json, &EncodeOptions::default()).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3_000 {
        let mut damaged = rows[random.usize(..rows.len())].clone();
        let part = if random.bool() { &mut damaged.0 } else { &mut damaged.1 };
        match random.u8(..3) {
            0 => part.truncate(random.usize(..part.len())),
            1 => part.push(random.u8(..)),
            _ => {
                let at = random.usize(..part.len());
                part[at] = random.u8(..);
            }
        }
        let array: ArrayRef = Arc::new(stored(&[damaged, rows[0].clone()]));
        match encode(&plan, &batch(&source, &array), 1 << 20) {
            Ok(bytes) => assert!(bytes.ends_with(&cases[names[0]])),
            Err(error) => assert_eq!(error.row, 0, "{error}"),
        }
    }
}
