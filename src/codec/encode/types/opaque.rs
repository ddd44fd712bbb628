//! Values of Postgres types that another Postgres client handed on as they were: `arrow.opaque` with the vendor
//! `PostgreSQL`. Bytes are the type's own binary form and pass through where the target has that very type; text is
//! read like any text.

use crate::codec::encode::column::Planned;
use crate::codec::encode::error::Refused;
use crate::codec::encode::source::Source;
use crate::model::extension::{Extension, is_binary};
use crate::model::pg_name;
use crate::model::pg_type::PgType;

/// The plan for raw bytes of the target's own type, where that is what the source is.
pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Option<Planned> {
    let Some(Extension::Opaque { type_name, vendor_name }) = &source.extension else {
        return None;
    };
    if vendor_name != "PostgreSQL" || !is_binary(source.data_type) || target == &PgType::Bytea {
        return None;
    }
    // A domain takes the bytes of its base type, as which it is read.
    let mut fits = target;
    loop {
        match fits {
            // PostGIS changes some of the bytes that it reads; what it sent is none of those.
            PgType::Geometry(_, _) | PgType::Geography(_, _) if pg_name::names(type_name, fits) => {
                return Some(super::geometry::plan(source, fits));
            }
            _ if pg_name::names(type_name, fits) => return Some(super::bytea::plan(source)),
            PgType::Domain(domain) => fits = &domain.base,
            _ => break,
        }
    }
    Some(Err(Refused::Because(format!(
        "the bytes are those of the Postgres type {type_name:?}"
    ))))
}
