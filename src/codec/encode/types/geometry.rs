//! PostGIS `geometry` and `geography`: the extended well-known binary that PostGIS itself sends, from binaries of either
//! form and, where a field says that it is such, from well-known text.
//!
//! A value has the SRID of its field's CRS, else its own, else the column's. Which of them differ is found before any row
//! where the types say so, and per row else.

use crate::codec::encode::cells::{Binaries, from_text};
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::Refused;
use crate::codec::encode::source::Source;
use crate::literal::wkb::{self, Rule};
use crate::literal::wkt;
use crate::model::extension::{Extension, is_binary};
use crate::model::geoarrow::Georeference;
use crate::model::geometry::Modifier;
use crate::model::pg_type::PgType;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    let (PgType::Geometry(modifier, _) | PgType::Geography(modifier, _)) = target else {
        return Err(Refused::NoRule);
    };
    let is_wkt = source.is_text() && source.extension == Some(Extension::Wkt);
    if !is_wkt && !is_binary(source.data_type) {
        return Err(Refused::NoRule);
    }
    let rule = Rule {
        srid: Georeference::of(source.declared()).srid.map_err(Refused::Because)?,
        column: column(modifier.as_deref())?,
        on_globe: matches!(target, PgType::Geography(_, _)),
    };
    let expected = rule.column.map_or(0, |column| column.srid);
    if rule.srid != 0 && expected != 0 && rule.srid != expected {
        return Err(Refused::Because(format!(
            "its CRS has the SRID {} and the column {expected}: transform the coordinates, or send the field with the column's \
             CRS or without one if they are of that",
            rule.srid
        )));
    }
    if is_wkt {
        return from_text(move |text, out| {
            let mut binary = Vec::new();
            wkt::binary(text, &mut binary)?;
            Ok(wkb::extended(&binary, &rule, out)?)
        });
    }
    Ok(Box::new(move |array| {
        let bytes = Binaries::of(array)?;
        Ok(rendered(array.nulls(), move |row, out| {
            Ok(wkb::extended(bytes.get(row), &rule, out)?)
        }))
    }))
}

/// The column's modifier, where it has one.
fn column(modifier: Option<&str>) -> Result<Option<Modifier>, Refused> {
    let Some(text) = modifier else {
        return Ok(None);
    };
    match Modifier::parse(text) {
        Some(modifier) => Ok(Some(modifier)),
        None => Err(Refused::Because(format!("the type modifier ({text}) is not known"))),
    }
}
