//! Geometries that are not stored: what PostGIS refuses, and what it would take and change.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field};

use super::super::{batch, encode, field, plan_with};
use super::{epsg, geography, geometry, sent, wkb, wkt};
use crate::codec::encode::{CellReason, EncodeOptions, PlanError};
use crate::model::pg_type::PgType;

/// Why the only cell is refused.
fn refusal(source: &Field, target: &PgType, cell: impl Array + 'static) -> CellReason {
    let plan = plan_with(source, target, &EncodeOptions::default()).unwrap();
    let batch = batch(source, &(Arc::new(cell) as ArrayRef));
    encode(&plan, &batch, 1 << 20).unwrap_err().reason
}

fn of_bytes(target: &PgType, bytes: &[u8]) -> CellReason {
    refusal(&wkb("{}"), target, BinaryArray::from_iter_values([bytes]))
}

fn of_text(target: &PgType, text: &str) -> CellReason {
    refusal(&wkt("{}"), target, StringArray::from(vec![text]))
}

#[test]
fn bytes_that_are_no_geometry_are_bad_rows() {
    let good = sent("multipolygon_4326");
    for length in 0..good.len() {
        let reason = of_bytes(&geometry(None), &good[..length]);
        assert!(matches!(reason, CellReason::NotWkb(_)), "{length} bytes: {reason}");
    }
    assert!(matches!(
        of_bytes(&geometry(None), &[&good[..], &[0]].concat()),
        CellReason::NotWkb(_)
    ));
    let point = |code: u32| [&[1][..], &code.to_le_bytes(), &[0; 32]].concat();
    // 13 and 14 are abstract, and PostGIS reads them as others; 4001 and the fourth flag mean nothing.
    for code in [0, 13, 14, 18, 999, 4001, 0x1000_0001] {
        assert!(
            matches!(of_bytes(&geometry(None), &point(code)), CellReason::NotWkb(_)),
            "{code}"
        );
    }
    assert!(matches!(of_bytes(&geometry(None), &[2; 21]), CellReason::NotWkb(_)));
    // A count that no value can have is no reason to look for memory.
    let huge = [&[1][..], &3u32.to_le_bytes(), &[0xff; 8]].concat();
    assert!(matches!(of_bytes(&geometry(None), &huge), CellReason::NotWkb(_)));
}

/// A point within so many collections.
fn nested(depth: usize) -> Vec<u8> {
    let collection = [&[1][..], &7u32.to_le_bytes(), &1u32.to_le_bytes()].concat();
    [collection.repeat(depth), sent("point")].concat()
}

#[test]
fn geometries_within_one_another_are_taken_as_deep_as_postgis_takes_them() {
    let plan = plan_with(&wkb("{}"), &geometry(None), &EncodeOptions::default()).unwrap();
    let deepest: ArrayRef = Arc::new(BinaryArray::from_iter_values([nested(198)]));
    encode(&plan, &batch(&wkb("{}"), &deepest), 1 << 20).unwrap();
    for depth in [199, 100_000] {
        assert!(
            matches!(of_bytes(&geometry(None), &nested(depth)), CellReason::Geometry(_)),
            "{depth}"
        );
    }
    let text = |depth: usize| format!("{}POINT(1 2){}", "GEOMETRYCOLLECTION(".repeat(depth), ")".repeat(depth));
    let plan = plan_with(&wkt("{}"), &geometry(None), &EncodeOptions::default()).unwrap();
    let deepest: ArrayRef = Arc::new(StringArray::from(vec![text(198)]));
    encode(&plan, &batch(&wkt("{}"), &deepest), 1 << 20).unwrap();
    for depth in [199, 100_000] {
        assert!(
            matches!(of_text(&geometry(None), &text(depth)), CellReason::Geometry(_)),
            "{depth}"
        );
    }
}

#[test]
fn geometries_that_postgis_would_change_or_refuse_are_bad_rows() {
    let geometry_of = |text| of_text(&geometry(None), text);
    for text in [
        "LINESTRING(1 1)",
        "POLYGON((0 0,1 0,1 1,0 1))",
        "POLYGON((0 0,1 0,0 0))",
        "POLYGON(EMPTY)",
        "CIRCULARSTRING(0 0,1 1)",
        "CIRCULARSTRING(0 0,1 1,2 2,3 3)",
        "TRIANGLE((0 0,0 1,1 1,0 0),(0 0,0 1,1 1,0 0))",
    ] {
        let reason = geometry_of(text);
        assert!(
            matches!(reason, CellReason::Geometry(_) | CellReason::NotA(_)),
            "{text}: {reason}"
        );
    }
    // PostGIS keeps neither the height of a point without a place, nor the SRID of a part, nor one that is too large.
    let nowhere = [
        &sent("point_z")[..5],
        &f64::NAN.to_le_bytes(),
        &f64::NAN.to_le_bytes(),
        &5f64.to_le_bytes(),
    ]
    .concat();
    let part = [&[1][..], &7u32.to_le_bytes(), &1u32.to_le_bytes(), &sent("point_4326")].concat();
    let mut beyond = sent("point_4326");
    beyond[5..9].copy_from_slice(&1_000_000u32.to_le_bytes());
    let mixed = [
        &[1][..],
        &7u32.to_le_bytes(),
        &2u32.to_le_bytes(),
        &sent("point"),
        &sent("point_z"),
    ]
    .concat();
    let misplaced = [&[1][..], &4u32.to_le_bytes(), &1u32.to_le_bytes(), &sent("line")].concat();
    for bytes in [nowhere, part, beyond, mixed, misplaced] {
        assert!(
            matches!(of_bytes(&geometry(None), &bytes), CellReason::Geometry(_)),
            "{bytes:?}"
        );
    }
    // On the globe: PostGIS moves what lies beyond its edges, with a notice or without.
    for text in [
        "POINT(180.00000000001 0)",
        "POINT(181 0)",
        "LINESTRING(0 0,0 -90.5)",
        "MULTIPOINT(0 0,0 91)",
    ] {
        assert!(
            matches!(of_text(&geography(None), text), CellReason::Geometry(_)),
            "{text}"
        );
    }
    assert!(matches!(
        of_text(&geography(None), "CIRCULARSTRING(0 0,1 1,2 0)"),
        CellReason::Geometry(_)
    ));
}

#[test]
fn values_that_a_columns_modifier_or_a_fields_crs_does_not_take_are_bad_rows() {
    for (modifier, text) in [
        ("Point", "LINESTRING(0 0,1 1)"),
        // PostGIS makes a point of it.
        ("Point", "MULTIPOINT EMPTY"),
        ("MultiPoint", "POINT(1 2)"),
        ("Point", "POINT Z(1 2 3)"),
        ("PointZ", "POINT(1 2)"),
        ("PointZ", "POINT M(1 2 3)"),
        ("Geometry,4326", "POINT Z(1 2 3)"),
        ("Point,4326", "SRID=3857;POINT(1 2)"),
    ] {
        assert!(
            matches!(of_text(&geometry(Some(modifier)), text), CellReason::Geometry(_)),
            "{text}"
        );
    }
    let other = BinaryArray::from_iter_values([sent("point_3857")]);
    assert!(matches!(
        refusal(&wkb(&epsg(4326)), &geometry(None), other),
        CellReason::Geometry(_)
    ));
}

#[test]
fn text_that_is_no_geometry_is_a_bad_row() {
    for text in [
        "",
        "POINT",
        "POINT()",
        "POINT(1)",
        "POINT(1 2",
        "POINT(1 2) POINT(3 4)",
        "POINT(1 2)\0",
        "POINT(1 2 3 4 5)",
        "POINT(1,2)",
        "POINT(nan 2)",
        "POINT(1 --2)",
        "POINT(+-1 2)",
        "POINT ZZ (1 2 3)",
        "POINT Z(1 2)",
        "POINT M(1 2 3 4)",
        "LINESTRING(0 0,1 1 1)",
        "LINESTRING(0 0,)",
        "CURVE(0 0,1 1)",
        "MULTIPOINT(LINESTRING(0 0,1 1))",
        "GEOMETRYCOLLECTION((1 2))",
        "GEOMETRYCOLLECTION M(POINT(1 2 3))",
        "GEOMETRYCOLLECTION(POINT EMPTY,POINT Z(1 2 3))",
        "SRID=;POINT(1 2)",
        "SRID=-1;POINT(1 2)",
        "CRS=1;POINT(1 2)",
        "0101000000000000000000f03f0000000000000040",
        "PÖINT(1 2)",
    ] {
        let reason = of_text(&geometry(None), text);
        let known = matches!(reason, CellReason::NotA(_) | CellReason::OutOfRange);
        assert!(known, "{text}: {reason}");
    }
    // PostGIS makes an infinity of it.
    assert_eq!(of_text(&geometry(None), "POINT(1e400 2)"), CellReason::OutOfRange);
    assert_eq!(
        of_text(&geometry(None), "SRID=1000000;POINT(1 2)"),
        CellReason::OutOfRange
    );
}

/// Why no row at all is taken.
fn refused(source: &Field, target: &PgType) -> String {
    match plan_with(source, target, &EncodeOptions::default()) {
        Err(PlanError::Pairs(pairs)) => pairs[0].to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_crs_that_the_column_cannot_have_is_refused_before_any_row() {
    let nameless = r#"{"crs": {"type": "ProjectedCRS", "name": "mine"}}"#;
    for source in [wkb(nameless), wkt(nameless)] {
        for target in [geometry(None), geography(None)] {
            let message = refused(&source, &target);
            assert!(message.contains("name it by EPSG"), "{message}");
        }
    }
    let message = refused(&wkb(&epsg(3857)), &geometry(Some("Point,4326")));
    assert!(
        message.contains("its CRS has the SRID 3857 and the column 4326"),
        "{message}"
    );
    assert!(message.contains("transform the coordinates"), "{message}");
    let message = refused(&wkb(&epsg(1_000_000)), &geometry(None));
    assert!(message.contains("over 999999"), "{message}");
    assert!(refused(&field(DataType::Utf8), &geometry(None)).ends_with("geometry\""));
    // What is no geometry's column does not mind.
    plan_with(&wkb(nameless), &PgType::Bytea, &EncodeOptions::default()).unwrap();
    plan_with(&wkt(nameless), &PgType::Text, &EncodeOptions::default()).unwrap();
}
