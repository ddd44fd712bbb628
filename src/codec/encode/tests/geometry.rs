//! Geometries against what PostGIS sends for them: from well-known binary of both forms and byte orders, and from text.

mod refused;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type};

use super::{check, extended, field, golden};
use crate::model::pg_type::{PgType, TypeHome};

/// Every test here, for `coverage`.
pub(super) const CHECKS: &[fn()] = &[
    what_postgis_sent_goes_back_as_it_came,
    binary_of_either_form_and_byte_order_becomes_what_postgis_sends,
    the_crs_of_a_field_or_the_srid_of_a_column_is_the_values,
    text_of_every_kind_becomes_what_postgis_sends,
];

fn geometry(modifier: Option<&str>) -> PgType {
    PgType::Geometry(modifier.map(str::to_owned), TypeHome::default())
}

fn geography(modifier: Option<&str>) -> PgType {
    PgType::Geography(modifier.map(str::to_owned), TypeHome::default())
}

fn wkb(metadata: &str) -> Field {
    extended(DataType::Binary, "geoarrow.wkb", metadata)
}

fn wkt(metadata: &str) -> Field {
    extended(DataType::Utf8, "geoarrow.wkt", metadata)
}

/// A CRS of EPSG's.
fn epsg(srid: u32) -> String {
    format!("{{\"crs\": \"EPSG:{srid}\"}}")
}

/// A text with the SRID that comes before it, and the golden case that it becomes.
const TEXTS: &[(&str, &str)] = &[
    ("POINT(1.5 -2)", "point"),
    ("  point ( 1.5e0\t-2. ) ", "point"),
    ("SRID=4326;POINT(1.5 -2)", "point_4326"),
    ("POINT Z (1.5 -2 3)", "point_z"),
    ("POINTZ(1.5 -2 3)", "point_z"),
    ("POINT(1.5 -2 3)", "point_z"),
    ("POINT M (1.5 -2 4)", "point_m"),
    ("PointM(1.5 -2 4)", "point_m"),
    ("POINT ZM(+1.5 -2 3 4)", "point_zm"),
    ("POINT(1.5 -2 3 4)", "point_zm"),
    ("POINT EMPTY", "point_empty"),
    ("SRID=4326;POINT ZM EMPTY", "point_zm_empty"),
    ("POINT(.1 1e-320)", "point_exact"),
    ("LINESTRING(0 0,1 1,2 0)", "line"),
    ("LineString Empty", "line_empty"),
    ("SRID=4326;LINESTRING(0 0 1,1 1 2)", "line_z_4326"),
    ("POLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))", "polygon"),
    ("POLYGON EMPTY", "polygon_empty"),
    ("MULTIPOINT((0 0),(1 1))", "multipoint"),
    ("MULTIPOINT(0 0, 1 1)", "multipoint"),
    ("MULTIPOINT Z(EMPTY,(1 2 3))", "multipoint_z"),
    ("MULTILINESTRING M((0 0 1,1 1 2),(2 2 3,3 3 4))", "multiline_m"),
    (
        "srid=4326;MULTIPOLYGON(((0 0,4 0,4 4,0 0)),((5 5,6 5,6 6,5 5)))",
        "multipolygon_4326",
    ),
    (
        "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1),GEOMETRYCOLLECTION(POINT EMPTY))",
        "collection",
    ),
    ("GEOMETRYCOLLECTION ZM EMPTY", "collection_empty"),
    ("CIRCULARSTRING(0 0,1 1,2 0)", "arc"),
    ("COMPOUNDCURVE((0 0,1 1),CIRCULARSTRING(1 1,2 2,3 1))", "compound"),
    (
        "CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0),(0.5 0,1 0,1 0.5,0.5 0))",
        "curve_polygon",
    ),
    ("MULTICURVE((0 0,5 5),CIRCULARSTRING(4 0,4 4,8 4))", "multicurve"),
    (
        "MULTISURFACE(CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0)),((10 10,12 10,12 12,10 10)))",
        "multisurface",
    ),
    ("POLYHEDRALSURFACE(((0 0,0 1,1 1,0 0)))", "faces"),
    ("TIN(((0 0,0 1,1 1,0 0)))", "tin"),
    ("TRIANGLE((0 0,0 1,1 1,0 0))", "triangle"),
];

/// What PostGIS sends for a case.
fn sent(name: &str) -> Vec<u8> {
    golden("geometry")[name][4..].to_vec()
}

#[test]
fn what_postgis_sent_goes_back_as_it_came() {
    let mut names: Vec<String> = golden("geometry").into_keys().filter(|name| name != "null").collect();
    names.sort();
    let (globe, plane): (Vec<&str>, Vec<&str>) = names
        .iter()
        .map(String::as_str)
        .partition(|name| name.starts_with("geography"));
    for (ty, bare, names) in [
        (geometry(None), "geometry", plane),
        (geography(None), "geography", globe),
    ] {
        let bytes = || names.iter().map(|name| sent(name));
        let opaque = format!("{{\"type_name\":\"{bare}\",\"vendor_name\":\"PostgreSQL\"}}");
        for source in [
            field(DataType::Binary),
            wkb("{}"),
            extended(DataType::Binary, "arrow.opaque", &opaque),
        ] {
            check("geometry", &ty, &source, BinaryArray::from_iter_values(bytes()), &names);
        }
        let (large, view) = (field(DataType::LargeBinary), field(DataType::BinaryView));
        check(
            "geometry",
            &ty,
            &large,
            LargeBinaryArray::from_iter_values(bytes()),
            &names,
        );
        check(
            "geometry",
            &ty,
            &view,
            BinaryViewArray::from_iter_values(bytes()),
            &names,
        );
    }
    let fixed = FixedSizeBinaryArray::try_from_iter([sent("point")].into_iter()).unwrap();
    check(
        "geometry",
        &geometry(None),
        &field(DataType::FixedSizeBinary(21)),
        fixed,
        &["point"],
    );
}

#[test]
fn binary_of_either_form_and_byte_order_becomes_what_postgis_sends() {
    let number = |order: u8, number: f64| {
        if order == 0 {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    let word = |order: u8, word: u32| {
        if order == 0 {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    };
    let (mut values, mut names) = (Vec::new(), Vec::new());
    for (name, iso, numbers) in [
        ("point", 1, vec![1.5, -2.0]),
        ("point_z", 1001, vec![1.5, -2.0, 3.0]),
        ("point_m", 2001, vec![1.5, -2.0, 4.0]),
        ("point_zm", 3001, vec![1.5, -2.0, 3.0, 4.0]),
    ] {
        for order in [0, 1] {
            let mut value = [&[order][..], &word(order, iso)].concat();
            numbers
                .iter()
                .for_each(|value_of| value.extend(number(order, *value_of)));
            values.push(value);
            names.push(name);
        }
    }
    // Parts have byte orders of their own.
    let mut line = [&[0][..], &word(0, 7), &word(0, 3), &[1], &word(1, 1)].concat();
    [1.0, 2.0].into_iter().for_each(|value| line.extend(number(1, value)));
    line.extend([&[0][..], &word(0, 2), &word(0, 2)].concat());
    [0.0, 0.0, 1.0, 1.0]
        .into_iter()
        .for_each(|value| line.extend(number(0, value)));
    line.extend([&[0][..], &word(0, 7), &word(0, 1), &[1], &word(1, 1)].concat());
    [f64::NAN; 2]
        .into_iter()
        .for_each(|value| line.extend(number(1, value)));
    values.push(line);
    names.push("collection");
    check(
        "geometry",
        &geometry(None),
        &wkb("{}"),
        BinaryArray::from_iter_values(values),
        &names,
    );
}

#[test]
fn the_crs_of_a_field_or_the_srid_of_a_column_is_the_values() {
    let both = || BinaryArray::from_iter_values([sent("point"), sent("point_4326")]);
    let names = ["point_4326", "point_4326"];
    let point = Some("Point,4326");
    check("geometry", &geometry(None), &wkb(&epsg(4326)), both(), &names);
    check("geometry", &geometry(point), &wkb("{}"), both(), &names);
    check("geometry", &geometry(point), &field(DataType::Binary), both(), &names);
    check("geometry", &geometry(point), &wkb(&epsg(4326)), both(), &names);
    check(
        "geometry",
        &geography(point),
        &wkb(r#"{"edges": "spherical"}"#),
        both(),
        &names,
    );
    let crs84 = r#"{"crs": {"id": {"authority": "OGC", "code": "CRS84"}}, "crs_type": "projjson"}"#;
    check("geometry", &geography(None), &wkb(crs84), both(), &names);
    let ends = Field::new("run_ends", DataType::Int32, false);
    let values = wkb(&epsg(4326)).with_name("values");
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![1, 2]), &both()).unwrap();
    let runs_of = field(DataType::RunEndEncoded(ends.into(), values.into()));
    let typed = runs.to_data().into_builder().data_type(runs_of.data_type().clone());
    let runs = RunArray::<Int32Type>::from(typed.build().unwrap());
    check("geometry", &geometry(None), &runs_of, runs, &names);
    let texts = StringArray::from(vec!["POINT (1.5 -2)", "SRID=3857;POINT (1.5 -2)"]);
    check(
        "geometry",
        &geometry(None),
        &wkt(&epsg(3857)),
        texts,
        &["point_3857", "point_3857"],
    );
}

#[test]
fn text_of_every_kind_becomes_what_postgis_sends() {
    let (texts, names): (Vec<&str>, Vec<&str>) = TEXTS.iter().copied().unzip();
    check(
        "geometry",
        &geometry(None),
        &wkt(""),
        StringArray::from(texts.clone()),
        &names,
    );
    let view = extended(DataType::Utf8View, "geoarrow.wkt", "");
    check(
        "geometry",
        &geometry(None),
        &view,
        StringViewArray::from(texts.clone()),
        &names,
    );
    let large = extended(DataType::LargeUtf8, "geoarrow.wkt", "");
    check(
        "geometry",
        &geometry(None),
        &large,
        LargeStringArray::from(texts),
        &names,
    );
}
