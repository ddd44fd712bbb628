//! The widening table, case by case.

use super::*;
use crate::model::pg_type::TypeHome;

fn numeric(precision: u16, scale: i16) -> PgType {
    PgType::Numeric(Some(NumericMod { precision, scale }))
}

fn native(wanted: &PgType, found: &PgType) -> Fit {
    fit(wanted, found, TypeProfile::Native)
}

fn widened(wanted: &PgType, found: &PgType) -> Option<(String, bool)> {
    match native(wanted, found) {
        Fit::Widen(widening) => Some((widening.to.to_string(), widening.rewrites)),
        _ => None,
    }
}

#[test]
fn a_wider_found_type_needs_no_change() {
    for (wanted, found) in [
        (PgType::Int2, PgType::Int8),
        (PgType::Int4, PgType::Float8),
        (PgType::Int8, numeric(20, 0)),
        (PgType::Int8, PgType::Numeric(None)),
        (numeric(10, 2), numeric(12, 4)),
        (PgType::Float4, PgType::Float8),
        (PgType::Text, PgType::Varchar(None)),
        (PgType::Varchar(Some(5)), PgType::Varchar(Some(9))),
        (PgType::Timestamp(Some(3)), PgType::Timestamp(None)),
        (PgType::Jsonb, PgType::Json),
    ] {
        assert_eq!(native(&wanted, &found), Fit::Holds, "{wanted} in {found}");
        let array = |ty: &PgType| PgType::Array(Box::new(ty.clone()));
        assert_eq!(
            native(&array(&wanted), &array(&found)),
            Fit::Holds,
            "{wanted}[] in {found}[]"
        );
    }
}

#[test]
fn widening_finds_the_least_type_that_holds_both() {
    let cases = [
        (PgType::Int8, PgType::Int4, "bigint", true),
        (PgType::Float8, PgType::Float4, "double precision", true),
        (numeric(20, 0), PgType::Int8, "numeric(20,0)", true),
        (numeric(10, 2), PgType::Int8, "numeric(21,2)", true),
        (numeric(12, 2), numeric(10, 2), "numeric(12,2)", false),
        (numeric(10, 4), numeric(10, 2), "numeric(12,4)", true),
        (PgType::Int8, numeric(10, 2), "numeric(21,2)", false),
        (PgType::Numeric(None), numeric(10, 2), "numeric", false),
        (PgType::Text, PgType::Varchar(Some(5)), "text", false),
        (PgType::Varchar(Some(9)), PgType::Varchar(Some(5)), "varchar(9)", false),
        (PgType::Text, PgType::Bpchar(Some(5)), "text", true),
        (PgType::Timestamp(None), PgType::Timestamp(Some(3)), "timestamp", false),
        (PgType::Inet, PgType::Cidr, "inet", false),
    ];
    for (wanted, found, to, rewrites) in cases {
        assert_eq!(
            widened(&wanted, &found),
            Some((to.to_owned(), rewrites)),
            "{found} for {wanted}"
        );
    }
}

#[test]
fn what_is_neither_held_nor_widened_differs() {
    for (wanted, found) in [
        (PgType::Text, PgType::Int4),
        (PgType::Int8, PgType::Float8),
        (PgType::Float8, PgType::Int4),
        (PgType::Float8, PgType::Numeric(None)),
        (PgType::Timestamp(None), PgType::TimestampTz(None)),
        (PgType::Uuid, PgType::Text),
        (PgType::Array(Box::new(PgType::Text)), PgType::Text),
    ] {
        assert_eq!(native(&wanted, &found), Fit::Differs, "{found} for {wanted}");
    }
}

#[test]
fn cloudquery_takes_as_one_what_the_go_plugin_takes_as_one() {
    let fit = |wanted, found| super::fit(&wanted, &found, TypeProfile::Cloudquery);
    assert_eq!(fit(PgType::Timestamp(None), PgType::TimestampTz(None)), Fit::Holds);
    assert_eq!(fit(PgType::Jsonb, PgType::Json), Fit::Holds);
    assert_eq!(fit(PgType::Inet, PgType::Cidr), Fit::Holds);
    assert_eq!(fit(PgType::Text, PgType::Bool), Fit::Differs);
}

#[test]
fn columns_of_postgis_and_those_of_before_it_stay_as_they_are() {
    let point = || PgType::Geometry(Some("Point,4326".to_owned()), TypeHome::default());
    let plane = || PgType::Geometry(None, TypeHome::default());
    let globe = || PgType::Geography(None, TypeHome::default());
    for wanted in [plane(), globe()] {
        for found in [plane(), globe(), point(), PgType::Bytea, PgType::Text] {
            assert_eq!(native(&wanted, &found), Fit::Holds, "{wanted} in {found}");
        }
        // Without PostGIS, or without an SRID, bytes are wanted: what a geometry takes is the encoder's to say.
        assert_eq!(native(&PgType::Bytea, &wanted), Fit::Differs);
    }
}
