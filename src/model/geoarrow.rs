//! Where on earth the coordinates of a GeoArrow field lie: its `crs` and `edges`, and what PostGIS calls that.
//!
//! PostGIS knows a coordinate reference system by a number, the SRID; those of EPSG have EPSG's own numbers. GeoArrow's order of
//! axes is always x, y, as PostGIS' is, whatever the authority says.

use arrow::datatypes::{DataType, Field};
use serde_json::Value;

use super::extension::{Extension, METADATA, meant};
use super::geometry::MAX_SRID;

/// The SRID of WGS 84 with longitude first, which is what `OGC:CRS84` is.
const WGS84: u32 = 4326;

/// Edges along the globe, by the names of GeoArrow. `geography` computes on the spheroid, whichever is meant.
const ON_GLOBE: [&str; 5] = ["spherical", "vincenty", "thomas", "andoyer", "karney"];

/// What a field says of its coordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Georeference {
    /// The SRID (0: the field names no CRS), or why there is none for it and what to do.
    pub srid: Result<u32, String>,
    /// Whether edges run along the globe.
    pub on_globe: bool,
}

impl Georeference {
    /// Reads the metadata of a GeoArrow field; every other field says nothing.
    pub fn of(field: &Field) -> Self {
        let field = meant(field);
        let says = matches!(Extension::of(&field), Some(Extension::Wkb | Extension::Wkt));
        let text = field
            .metadata()
            .get(METADATA)
            .filter(|text| says && !text.trim().is_empty());
        let Some(text) = text else {
            return Self::new(Ok(0), false);
        };
        let Ok(Value::Object(metadata)) = serde_json::from_str(text) else {
            return Self::new(
                Err("its extension metadata is no JSON object; mend or drop it".to_owned()),
                false,
            );
        };
        let srid = crs(metadata.get("crs"), metadata.get("crs_type").and_then(Value::as_str));
        match metadata.get("edges") {
            None | Some(Value::Null) => Self::new(srid, false),
            Some(Value::String(edges)) if edges == "planar" => Self::new(srid, false),
            Some(Value::String(edges)) if ON_GLOBE.contains(&edges.as_str()) => Self::new(srid, true),
            Some(_) => Self::new(Err("its edges are of a kind that PostGIS has not".to_owned()), false),
        }
    }

    fn new(srid: Result<u32, String>, on_globe: bool) -> Self {
        Self { srid, on_globe }
    }
}

/// Whether the column type of a field, or of its elements, may depend on PostGIS.
pub fn concerns(field: &Field) -> bool {
    let of_postgis = match Extension::of(field) {
        Some(Extension::Wkb | Extension::Wkt) => true,
        Some(Extension::Opaque { type_name, .. }) => is_type_name(&type_name),
        _ => super::extension::PG_TYPE_KEYS
            .iter()
            .any(|key| field.metadata().get(key).is_some_and(|name| is_type_name(name))),
    };
    of_postgis
        || match field.data_type() {
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::ListView(element)
            | DataType::LargeListView(element)
            | DataType::FixedSizeList(element, _)
            | DataType::RunEndEncoded(_, element) => concerns(element),
            _ => false,
        }
}

fn is_type_name(name: &str) -> bool {
    let name = name.trim().trim_start_matches('_');
    name.starts_with("geometry") || name.starts_with("geography")
}

fn crs(crs: Option<&Value>, kind: Option<&str>) -> Result<u32, String> {
    let found = match (crs, kind) {
        (None | Some(Value::Null), _) => return Ok(0),
        (Some(Value::Object(projjson)), _) => projjson
            .get("id")
            .or_else(|| projjson.get("ids")?.as_array()?.first())
            .and_then(|id| srid(id.get("authority")?.as_str()?, &number(id.get("code")?)?)),
        (Some(crs), Some("srid")) => number(crs).and_then(|number| whole(&number)),
        (Some(Value::String(text)), None | Some("authority_code")) => {
            text.split_once(':').and_then(|(authority, code)| srid(authority, code))
        }
        _ => None,
    };
    match found {
        Some(srid) if srid <= u64::from(MAX_SRID) => u32::try_from(srid).map_err(|error| error.to_string()),
        Some(srid) => Err(format!(
            "its SRID {srid} is over {MAX_SRID}, which PostGIS would change"
        )),
        None => Err(
            "its CRS has no SRID that is known here: name it by EPSG (the id of the PROJJSON, \"EPSG:n\") or as \
                     OGC:CRS84, send the field without a CRS, or load it into a column of type bytea or text"
                .to_owned(),
        ),
    }
}

/// The code of a PROJJSON is a number or text.
fn number(code: &Value) -> Option<String> {
    match code {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn srid(authority: &str, code: &str) -> Option<u64> {
    match (authority.to_ascii_uppercase().as_str(), code) {
        ("OGC", "CRS84") => Some(WGS84.into()),
        // 0 is no CRS of EPSG's.
        ("EPSG", code) => whole(code).filter(|srid| *srid > 0),
        _ => None,
    }
}

fn whole(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // What has too many digits for the type is over any limit as well.
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::extension::NAME;

    fn field(metadata: &str) -> Field {
        let keys = [(NAME, "geoarrow.wkb"), (METADATA, metadata)];
        Field::new("g", DataType::Binary, true)
            .with_metadata(keys.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }

    #[test]
    fn a_crs_is_the_srid_that_its_authority_gives_it() {
        for (metadata, srid) in [
            ("", 0),
            ("{}", 0),
            (r#"{"crs": null}"#, 0),
            (
                r#"{"crs": {"type": "GeographicCRS", "id": {"authority": "EPSG", "code": 4326}}}"#,
                4326,
            ),
            (
                r#"{"crs": {"id": {"authority": "EPSG", "code": "3857"}}, "crs_type": "projjson"}"#,
                3857,
            ),
            (r#"{"crs": {"id": {"authority": "OGC", "code": "CRS84"}}}"#, 4326),
            (r#"{"crs": {"ids": [{"authority": "EPSG", "code": 25832}]}}"#, 25832),
            (r#"{"crs": "OGC:CRS84", "crs_type": "authority_code"}"#, 4326),
            (r#"{"crs": "epsg:27700"}"#, 27700),
            (r#"{"crs": "999999", "crs_type": "srid"}"#, 999_999),
            (r#"{"crs": "0", "crs_type": "srid"}"#, 0),
        ] {
            assert_eq!(Georeference::of(&field(metadata)).srid, Ok(srid), "{metadata}");
        }
        let elsewhere = [(METADATA.to_owned(), r#"{"crs": "EPSG:1"}"#.to_owned())];
        let elsewhere = Field::new("g", DataType::Binary, true).with_metadata(elsewhere);
        assert_eq!(Georeference::of(&elsewhere).srid, Ok(0), "no GeoArrow field");
    }

    #[test]
    fn a_crs_without_a_number_is_told_and_never_guessed() {
        for metadata in [
            "[]",
            "{",
            r#"{"crs": {"type": "ProjectedCRS", "name": "mine"}}"#,
            r#"{"crs": {"id": {"authority": "ESRI", "code": 102100}}}"#,
            r#"{"crs": {"id": {"authority": "OGC", "code": "CRS84h"}}}"#,
            r#"{"crs": "EPSG:0"}"#,
            r#"{"crs": "EPSG:-5"}"#,
            r#"{"crs": "WGS 84"}"#,
            r#"{"crs": "GEOGCRS[\"WGS 84\"]", "crs_type": "wkt2:2019"}"#,
            r#"{"crs": "EPSG:4326", "crs_type": "srid"}"#,
            r#"{"crs": "1000000", "crs_type": "srid"}"#,
            r#"{"crs": "EPSG:99999999999999999999"}"#,
            r#"{"crs": 4326.5, "crs_type": "srid"}"#,
            r#"{"crs": "EPSG:4326", "edges": "wavy"}"#,
            r#"{"edges": 1}"#,
        ] {
            assert!(Georeference::of(&field(metadata)).srid.is_err(), "{metadata}");
        }
    }

    #[test]
    fn edges_lie_in_the_plane_or_on_the_globe() {
        for (metadata, on_globe) in [
            ("{}", false),
            (r#"{"edges": null}"#, false),
            (r#"{"edges": "planar"}"#, false),
            (r#"{"edges": "spherical"}"#, true),
            (r#"{"edges": "karney"}"#, true),
        ] {
            let found = Georeference::of(&field(metadata));
            assert_eq!(found, Georeference::new(Ok(0), on_globe), "{metadata}");
        }
    }
}
