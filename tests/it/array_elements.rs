//! Lists that are single elements of an array: a point, a bit string, a vector, an array behind a domain. They are no dimension.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Float64Type};

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, path};
use crate::support::server::Server;

/// Lists of these lengths over `elements`.
fn listed(elements: ArrayRef, lengths: &[usize]) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(elements.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Arc::new(ListArray::new(item, offsets, elements, None))
}

fn pairs(values: &[Option<[f64; 2]>]) -> ArrayRef {
    let values = values.iter().map(|pair| pair.map(|pair| pair.map(Some)));
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(values, 2))
}

fn flags(texts: &[&str]) -> ArrayRef {
    let flags = texts
        .iter()
        .flat_map(|text| text.bytes().map(|digit| Some(digit == b'1')));
    let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
    listed(Arc::new(BooleanArray::from_iter(flags)), &lengths)
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_elements_of_the_arrays_type_are_no_dimension() {
    let database = Database::create().await;
    database
        .execute(
            "create extension if not exists vector;
             create domain place as point; create domain embedding as vector(2); create domain pair as int[];
             create table t (points point[], places place[], bits bit(3)[], varbits varbit[], vectors vector(2)[],
                embeddings embedding[], pairs pair[], texts point[])",
        )
        .await;
    let server = Server::start(&database).await;
    let points = || listed(pairs(&[Some([1.5, -2.0]), None, Some([0.0, 1.0])]), &[3, 0]);
    let vectors = || listed(pairs(&[Some([1.5, -2.0]), Some([0.0, 1.0])]), &[2, 0]);
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["(1,2)", "(3,4)"]));
    let rows = batch(vec![
        ("points", points()),
        ("places", points()),
        ("bits", listed(flags(&["101", "010"]), &[2, 0])),
        ("varbits", listed(flags(&["1", "0010"]), &[2, 0])),
        ("vectors", vectors()),
        ("embeddings", vectors()),
        ("pairs", listed(listed(ints, &[1, 2]), &[2, 0])),
        ("texts", listed(listed(texts, &[1, 1]), &[2, 0])),
    ]);
    Flight::connect(&server)
        .await
        .put(path(&["t"]), &[rows])
        .await
        .expect("all fit");
    let expected = [
        ("points", "{\"(1.5,-2)\",NULL,\"(0,1)\"}"),
        ("places", "{\"(1.5,-2)\",NULL,\"(0,1)\"}"),
        ("bits", "{101,010}"),
        ("varbits", "{1,0010}"),
        ("vectors", "{\"[1.5,-2]\",\"[0,1]\"}"),
        ("embeddings", "{\"[1.5,-2]\",\"[0,1]\"}"),
        ("pairs", "{\"{1}\",\"{2,3}\"}"),
        // Texts of points in lists of lists stay two dimensions.
        ("texts", "{{\"(1,2)\"},{\"(3,4)\"}}"),
    ];
    for (column, printed) in expected {
        let stored = database
            .lines(&format!("select {column}::text from t order by ctid"))
            .await;
        assert_eq!(stored, [printed, "{}"], "{column}");
    }
}
