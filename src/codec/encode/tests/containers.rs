//! Arrays, ranges, multiranges, row types and vectors from the text in which Postgres prints them.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::DataType;

use super::structured::{golden_row, range_of};
use super::{batch, check, encode, field, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::pg_type::{PgType, TypeHome};

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    arrays_are_read_from_the_text_that_postgres_prints,
    ranges_rows_and_vectors_are_read_from_the_text_that_postgres_prints,
];

fn texts(file: &str, target: &PgType, cases: &[(&str, &str)]) {
    let (texts, names): (Vec<&str>, Vec<&str>) = cases.iter().copied().unzip();
    check(file, target, &field(DataType::Utf8), StringArray::from(texts), &names);
}

fn array_of(element: PgType) -> PgType {
    PgType::Array(Box::new(element))
}

fn multirange() -> PgType {
    let PgType::Range(range) = range_of(PgType::Int4) else {
        unreachable!("it is one")
    };
    PgType::Multirange(range)
}

#[test]
fn arrays_are_read_from_the_text_that_postgres_prints() {
    let integers = [
        ("{1,2,3}", "int4_three"),
        ("{1,NULL,3}", "int4_nulls"),
        ("{}", "int4_empty"),
        ("{NULL,NULL}", "int4_all_null"),
        ("{7}", "int4_one"),
        ("{{1,2,3},{4,5,6}}", "int4_matrix"),
        ("{{1,NULL},{NULL,4}}", "int4_matrix_nulls"),
        ("{{{1},{2}},{{3},{4}}}", "int4_cube"),
    ];
    texts("array", &array_of(PgType::Int4), &integers);
    texts(
        "array",
        &array_of(PgType::Text),
        &[("{a,\"\",grüß}", "text_some"), ("{NULL,x}", "text_nulls")],
    );
    texts(
        "array",
        &array_of(PgType::Float8),
        &[("{1.5,NaN}", "float8_some"), ("{{1.5,2},{3,4}}", "float8_matrix")],
    );
    texts(
        "array",
        &array_of(PgType::Numeric(None)),
        &[("{1.00005,NULL,-2}", "numeric_some")],
    );
    texts(
        "array",
        &array_of(PgType::Bytea),
        &[("{\"\\\\x00\",\"\\\\x\"}", "bytea_some")],
    );
}

#[test]
fn ranges_rows_and_vectors_are_read_from_the_text_that_postgres_prints() {
    let ranges = [
        ("[1.5,2.5]", "num_closed"),
        ("(1.5,2.5)", "num_open"),
        ("(1.5,2.5]", "num_lower_open"),
        ("(,2.5)", "num_no_lower"),
        ("[1.5,)", "num_no_upper"),
        ("(,)", "num_all"),
        ("empty", "num_empty"),
    ];
    texts("range", &range_of(PgType::Numeric(None)), &ranges);
    let moments = [("[\"2024-02-29 12:34:56\",\"2024-03-01 00:00:00\")", "ts_some")];
    texts("range", &range_of(PgType::Timestamp(None)), &moments);
    let several = [
        ("{}", "int4_none"),
        ("{[1,5)}", "int4_one"),
        ("{[1,5),[7,9)}", "int4_two"),
        ("{(,1),[7,)}", "int4_open"),
        ("{(,)}", "int4_all"),
    ];
    texts("multirange", &multirange(), &several);
    let rows = [
        ("(1,x,\"{1,2}\")", "row_full"),
        ("(,y,)", "row_nulls"),
        ("(-5,\"\",{})", "row_empty_text"),
    ];
    texts("composite", &golden_row(), &rows);
    let home = TypeHome::default;
    texts(
        "vector",
        &PgType::Vector(Some(3), home()),
        &[("[1,-2.5,0]", "vector_some")],
    );
    texts("vector", &PgType::Vector(None, home()), &[("[3]", "vector_one")]);
    texts(
        "vector",
        &PgType::HalfVec(Some(3), home()),
        &[("[1,-2.5,0]", "halfvec_some")],
    );
    texts(
        "vector",
        &PgType::SparseVec(Some(5), home()),
        &[("{1:1.5,4:-2}/5", "sparsevec_some")],
    );
    texts(
        "vector",
        &PgType::SparseVec(Some(3), home()),
        &[("{}/3", "sparsevec_zero")],
    );
}

#[test]
fn a_text_that_is_no_container_or_has_a_bad_part_is_a_bad_cell() {
    let home = TypeHome::default;
    let wrong: [(PgType, &str, &str); 12] = [
        (
            array_of(PgType::Int4),
            "1,2",
            "the text is not an array in the form {a,b}",
        ),
        (array_of(PgType::Int4), "{1,x}", "the text is not an integer"),
        (
            array_of(PgType::Int4),
            "{{1},{2,3}}",
            "the text is not an array in the form {a,b}",
        ),
        (
            array_of(PgType::Int2),
            "{70000}",
            "the value is outside the range of the type",
        ),
        (
            range_of(PgType::Int4),
            "1..5",
            "the text is not a range in the form [a,b)",
        ),
        (range_of(PgType::Int4), "[a,5)", "the text is not an integer"),
        (
            multirange(),
            "[1,5)",
            "the text is not a multirange in the form {[a,b)}",
        ),
        (golden_row(), "(1,x)", "the value has 2 fields, 3 are needed"),
        (golden_row(), "1,x", "the text is not a row in the form (a,b)"),
        (
            PgType::Vector(Some(2), home()),
            "[1,2,3]",
            "the value has 3 elements, 2 are needed",
        ),
        (
            PgType::Vector(None, home()),
            "[1,NaN]",
            "NaN and infinities cannot be stored",
        ),
        (
            PgType::SparseVec(None, home()),
            "{3:1}/2",
            "the text is not a vector in the form in which pgvector prints it",
        ),
    ];
    for (target, text, reason) in wrong {
        let source = field(DataType::Utf8);
        let plan = plan_with(&source, &target, &EncodeOptions::default()).unwrap();
        let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let error = encode(&plan, &batch(&source, &array), 1 << 20).unwrap_err();
        assert_eq!(error.reason.to_string(), reason, "{text} into {target}");
    }
}
