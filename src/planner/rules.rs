//! Which column type holds the values of another, and which may become another without losing one. Pure.
//!
//! Whether `ALTER COLUMN TYPE` rewrites the table follows Postgres (`ATColumnChangeRequiresRewrite`: binary-coercible
//! types and length coercions that their support functions elide); `tests/it` compares each claim with the file node.

#[cfg(test)]
mod tests;

use crate::model::options::TypeProfile;
use crate::model::pg_type::{NumericMod, PgType};

/// Most digits of `numeric(p,s)`.
const MAX_PRECISION: u16 = 1000;

/// How a found type relates to a wanted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Every value of the wanted type has its place in the found type.
    Holds,
    /// The found type can become one that holds both, keeping every value.
    Widen(Widening),
    /// The found enum lacks these labels.
    AddLabels(Vec<String>),
    /// Neither: values would have to be converted.
    Differs,
}

/// A type change that loses nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The new type.
    pub to: PgType,
    /// Whether Postgres writes the table (or at least its indexes) anew.
    pub rewrites: bool,
}

/// How `found` can take what a stream of type `wanted` brings.
pub fn fit(wanted: &PgType, found: &PgType, profile: TypeProfile) -> Fit {
    if holds(wanted, found) || (profile == TypeProfile::Cloudquery && same_for_cloudquery(wanted, found)) {
        return Fit::Holds;
    }
    if let (PgType::Enum(wanted), PgType::Enum(found)) = (wanted, found) {
        let missing: Vec<String> = wanted
            .labels
            .iter()
            .filter(|label| !found.labels.contains(label))
            .cloned()
            .collect();
        return if wanted.name == found.name {
            Fit::AddLabels(missing)
        } else {
            Fit::Differs
        };
    }
    widening(wanted, found).map_or(Fit::Differs, Fit::Widen)
}

/// Whether every value of `wanted` has its exact place in `found`.
fn holds(wanted: &PgType, found: &PgType) -> bool {
    if wanted == found {
        return true;
    }
    match (wanted, found) {
        (_, PgType::Domain(domain)) => holds(wanted, &domain.base),
        (PgType::Int2, PgType::Int4 | PgType::Int8 | PgType::Float4 | PgType::Float8)
        | (PgType::Int4, PgType::Int8 | PgType::Float8)
        | (PgType::Float4, PgType::Float8)
        | (PgType::Jsonb, PgType::Json)
        | (PgType::Cidr, PgType::Inet)
        | (PgType::MacAddr, PgType::MacAddr8)
        | (PgType::LimitedInterval(_), PgType::Interval)
        | (PgType::Bit(Some(_)), PgType::Bit(None))
        | (PgType::Vector(Some(_), _), PgType::Vector(None, _))
        | (PgType::HalfVec(Some(_), _), PgType::HalfVec(None, _)) => true,
        (_, PgType::Numeric(room)) => digits(wanted).is_some_and(|need| room.is_none_or(|room| fits_in(need, room))),
        (PgType::Varchar(_) | PgType::Text, PgType::Text | PgType::Varchar(None) | PgType::Citext(_)) => true,
        (PgType::Varchar(Some(n)), PgType::Varchar(Some(room))) => n <= room,
        (PgType::Bpchar(Some(n)), PgType::Bpchar(Some(room))) => n <= room,
        (PgType::VarBit(n), PgType::VarBit(room)) => at_most(*n, *room),
        (PgType::Time(p), PgType::Time(room))
        | (PgType::TimeTz(p), PgType::TimeTz(room))
        | (PgType::Timestamp(p), PgType::Timestamp(room))
        | (PgType::TimestampTz(p), PgType::TimestampTz(room)) => p.unwrap_or(6) <= room.unwrap_or(6),
        (PgType::Enum(wanted), PgType::Enum(found)) => {
            wanted.name == found.name && wanted.labels.iter().all(|label| found.labels.contains(label))
        }
        (PgType::Array(wanted), PgType::Array(found)) => holds(wanted, found),
        // What a column of PostGIS' takes is the encoder's to say. Well-known binary and text are kept in columns of before PostGIS.
        (
            PgType::Geometry(_, _) | PgType::Geography(_, _),
            PgType::Geometry(_, _) | PgType::Geography(_, _) | PgType::Bytea | PgType::Text,
        ) => true,
        _ => false,
    }
}

/// The least type that holds both, where `found` can become it exactly.
fn widening(wanted: &PgType, found: &PgType) -> Option<Widening> {
    let widen = |to: PgType, rewrites: bool| Some(Widening { to, rewrites });
    match (wanted, found) {
        (PgType::Int4 | PgType::Int8, PgType::Int2) | (PgType::Int8, PgType::Int4) => widen(wanted.clone(), true),
        (PgType::Float8, PgType::Float4) => widen(PgType::Float8, true),
        (PgType::Numeric(_), PgType::Int2 | PgType::Int4 | PgType::Int8) => {
            widen(PgType::Numeric(join_numeric(wanted, found)), true)
        }
        (PgType::Numeric(_) | PgType::Int2 | PgType::Int4 | PgType::Int8, PgType::Numeric(Some(old))) => {
            let to = join_numeric(wanted, found);
            // Same scale and no fewer digits, or no limit at all: numeric_support elides the coercion.
            let elided = to.is_none_or(|to| to.scale == old.scale && to.precision >= old.precision);
            widen(PgType::Numeric(to), !elided)
        }
        (PgType::Text | PgType::Varchar(None), PgType::Varchar(Some(_))) => widen(wanted.clone(), false),
        (PgType::Varchar(Some(_)), PgType::Varchar(Some(_))) => widen(wanted.clone(), false),
        (PgType::Text, PgType::Bpchar(_) | PgType::Name) => widen(PgType::Text, true),
        (PgType::Bpchar(Some(_)), PgType::Bpchar(Some(_))) => widen(wanted.clone(), true),
        (PgType::VarBit(_), PgType::VarBit(_)) => widen(wanted.clone(), false),
        (PgType::Time(_), PgType::Time(_))
        | (PgType::TimeTz(_), PgType::TimeTz(_))
        | (PgType::Timestamp(_), PgType::Timestamp(_))
        | (PgType::TimestampTz(_), PgType::TimestampTz(_)) => widen(wanted.clone(), false),
        (PgType::Inet, PgType::Cidr) => widen(PgType::Inet, false),
        (PgType::MacAddr8, PgType::MacAddr) => widen(PgType::MacAddr8, true),
        (PgType::Array(wanted), PgType::Array(found)) => {
            // Postgres rebuilds every array, also where the elements are binary-coercible.
            widen(PgType::Array(Box::new(widening(wanted, found)?.to)), true)
        }
        _ => None,
    }
}

fn at_most(n: Option<u32>, room: Option<u32>) -> bool {
    match (n, room) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(n), Some(room)) => n <= room,
    }
}

/// Digits before and after the point that values of the type can have; `None` where there is no such bound.
fn digits(ty: &PgType) -> Option<NumericMod> {
    let whole = |precision| Some(NumericMod { precision, scale: 0 });
    match ty {
        PgType::Int2 => whole(5),
        PgType::Int4 => whole(10),
        PgType::Int8 => whole(19),
        PgType::Numeric(limit) => *limit,
        _ => None,
    }
}

fn whole_digits(m: NumericMod) -> i32 {
    i32::from(m.precision) - i32::from(m.scale)
}

fn fits_in(need: NumericMod, room: NumericMod) -> bool {
    need.scale <= room.scale && whole_digits(need) <= whole_digits(room)
}

/// The modifier that holds both; `None` (no limit) where one of them has none or the sum is beyond Postgres' limit.
fn join_numeric(a: &PgType, b: &PgType) -> Option<NumericMod> {
    let (a, b) = (digits(a)?, digits(b)?);
    let scale = a.scale.max(b.scale);
    let precision = whole_digits(a).max(whole_digits(b)) + i32::from(scale);
    let precision = u16::try_from(precision.max(1)).ok()?;
    (precision <= MAX_PRECISION).then_some(NumericMod { precision, scale })
}

/// Types that the Go plugin reads as one Arrow type, and so never migrates between.
fn same_for_cloudquery(wanted: &PgType, found: &PgType) -> bool {
    match (wanted, found) {
        (PgType::Array(wanted), PgType::Array(found)) => holds(wanted, found) || same_for_cloudquery(wanted, found),
        (PgType::Timestamp(_), PgType::TimestampTz(_))
        | (PgType::Time(_), PgType::TimeTz(_))
        | (PgType::Jsonb, PgType::Json)
        | (PgType::Inet, PgType::Cidr)
        | (PgType::MacAddr, PgType::MacAddr8) => true,
        _ => false,
    }
}
