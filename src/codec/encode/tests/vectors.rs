//! The encoder's vectors, the crate `pgvector`'s and Postgres' own are the same bytes.
//!
//! The encoder writes columns, the crate single values: where both say the same of Postgres' bytes and of any others, it does
//! not matter which of them wrote a row.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use bytes::{BufMut, BytesMut};
use half::f16;
use pgvector::{HalfVector, SparseVector, Vector};
use postgres_types::{FromSql, ToSql, Type};
use proptest::prelude::*;

use super::{batch, encode, field, golden, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::pg_type::{PgType, TypeHome};

/// A value as the crate binds it.
fn bound(value: &impl ToSql) -> Vec<u8> {
    let mut out = BytesMut::new();
    value.to_sql(&Type::UNKNOWN, &mut out).unwrap();
    out.to_vec()
}

/// Read from Postgres' bytes, equal to the value, and written as they were.
fn round_trip<T>(name: &str, value: T)
where
    T: ToSql + for<'a> FromSql<'a> + PartialEq + std::fmt::Debug,
{
    let bytes = golden("vector")[name][4..].to_vec();
    assert_eq!(T::from_sql(&Type::UNKNOWN, &bytes).unwrap(), value, "{name}");
    assert_eq!(bound(&value), bytes, "{name}");
}

#[test]
fn the_crate_s_form_of_every_kind_is_postgres_own() {
    round_trip("vector_some", Vector::from(vec![1.0, -2.5, 0.0]));
    round_trip("vector_one", Vector::from(vec![3.0]));
    round_trip("halfvec_some", HalfVector::from_f32_slice(&[1.0, -2.5, 0.0]));
    round_trip("sparsevec_some", SparseVector::from_dense(&[1.5, 0.0, 0.0, -2.0, 0.0]));
    round_trip("sparsevec_zero", SparseVector::from_dense(&[0.0; 3]));
}

/// One row of one list, without the number of fields before it.
fn encoded(numbers: &[f32], element: DataType, target: &PgType) -> Vec<u8> {
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let values = Arc::new(Float32Array::from(numbers.to_vec()));
    let list: ArrayRef = Arc::new(ListArray::new(
        item,
        OffsetBuffer::from_lengths([numbers.len()]),
        values,
        None,
    ));
    let list = cast(&list, &DataType::List(Arc::new(Field::new_list_field(element, true)))).unwrap();
    let source = field(list.data_type().clone());
    let plan = plan_with(&source, target, &EncodeOptions::default()).unwrap();
    encode(&plan, &batch(&source, &list), 1 << 20).unwrap()[2..].to_vec()
}

fn behind_its_length(bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
    out.to_vec()
}

proptest! {
    #[test]
    fn the_encoder_writes_what_the_crate_would_bind(
        numbers in prop::collection::vec(prop_oneof![Just(0.0f32), -1e30f32..1e30, Just(-0.0f32)], 1..40),
        halves in prop::collection::vec(-2000i16..2000, 1..40),
    ) {
        let home = TypeHome::default();
        let dense = encoded(&numbers, DataType::Float32, &PgType::Vector(None, home.clone()));
        prop_assert_eq!(dense, behind_its_length(&bound(&Vector::from(numbers.clone()))));
        let sparse = encoded(&numbers, DataType::Float64, &PgType::SparseVec(None, home.clone()));
        prop_assert_eq!(sparse, behind_its_length(&bound(&SparseVector::from_dense(&numbers))));
        let halves: Vec<f16> = halves.iter().map(|number| f16::from_f32(f32::from(*number) / 8.0)).collect();
        let wide: Vec<f32> = halves.iter().map(|half| half.to_f32()).collect();
        let half = encoded(&wide, DataType::Float16, &PgType::HalfVec(None, home));
        prop_assert_eq!(half, behind_its_length(&bound(&HalfVector::from(halves))));
    }
}
