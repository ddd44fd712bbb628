//! From `pg_type` rows and type modifiers to [`PgType`]. Pure; modifiers are decoded as the types' `typmodout` functions do.

use std::collections::HashMap;
use std::sync::Arc;

use super::CatalogFault;
use super::raw::{RawMoney, RawType};
use crate::model::ident::Ident;
use crate::model::interval_limit::IntervalLimit;
use crate::model::money::MoneyForm;
use crate::model::pg_type::{CompositeType, DomainType, EnumType, NumericMod, OtherType, PgType, RangeType, TypeHome};

/// Length of a varlena header, which the modifiers of varchar, char and numeric include.
const VARHDRSZ: i32 = 4;

/// The types that one document mentions, by OID.
pub(super) struct Types<'a> {
    types: HashMap<u32, &'a RawType>,
    money: MoneyForm,
}

impl<'a> Types<'a> {
    pub(super) fn new(types: &'a [RawType], money: &RawMoney) -> Self {
        Self {
            types: types.iter().map(|ty| (ty.oid, ty)).collect(),
            money: money_form(money),
        }
    }

    /// The type with that OID and modifier; `display` is `format_type` of both.
    pub(super) fn resolve(&self, oid: u32, typmod: i32, display: &str) -> Result<PgType, CatalogFault> {
        let raw = self.get(oid)?;
        if let Some(element) = raw.element {
            let element_display = display.strip_suffix("[]").unwrap_or(display);
            return Ok(PgType::Array(Box::new(self.resolve(
                element,
                typmod,
                element_display,
            )?)));
        }
        let home = TypeHome {
            schema: Some(ident(&raw.schema)?),
            oid,
            array_oid: raw.array_oid,
        };
        Ok(match raw.kind {
            'e' => PgType::Enum(Arc::new(EnumType {
                name: ident(&raw.name)?,
                home,
                labels: raw.labels.clone().unwrap_or_default(),
            })),
            'd' => self.domain(raw, home)?,
            'c' => self.composite(raw, home)?,
            'r' => PgType::Range(self.range(raw, home)?),
            'm' => PgType::Multirange(self.range(raw, home)?),
            _ if raw.schema == "pg_catalog" && raw.name == "money" => PgType::Money(self.money.clone()),
            _ => base(raw, typmod, display)
                .or_else(|| of_extension(raw, typmod, display, &home))
                .map_or_else(|| other(raw, display, home), Ok)?,
        })
    }

    fn get(&self, oid: u32) -> Result<&'a RawType, CatalogFault> {
        self.types
            .get(&oid)
            .copied()
            .ok_or_else(|| CatalogFault::Shape(format!("type {oid} is not in the document")))
    }

    fn domain(&self, raw: &RawType, home: TypeHome) -> Result<PgType, CatalogFault> {
        let over = raw
            .base
            .ok_or_else(|| CatalogFault::Shape(format!("domain {} has no base type", raw.name)))?;
        let base = self.resolve(over, raw.base_typmod, &raw.base_display)?;
        Ok(PgType::Domain(Arc::new(DomainType {
            name: ident(&raw.name)?,
            home,
            base,
            not_null: raw.not_null,
        })))
    }

    fn composite(&self, raw: &RawType, home: TypeHome) -> Result<PgType, CatalogFault> {
        let mut fields = Vec::new();
        for field in raw.fields.iter().flatten() {
            fields.push((
                ident(&field.name)?,
                self.resolve(field.type_oid, field.typmod, &field.display)?,
            ));
        }
        Ok(PgType::Composite(Arc::new(CompositeType {
            name: ident(&raw.name)?,
            home,
            fields,
        })))
    }

    fn range(&self, raw: &RawType, home: TypeHome) -> Result<Arc<RangeType>, CatalogFault> {
        let over = raw
            .subtype
            .ok_or_else(|| CatalogFault::Shape(format!("range {} has no subtype", raw.name)))?;
        let display = self.get(over)?.display.clone();
        let subtype = self.resolve(over, -1, &display)?;
        Ok(Arc::new(RangeType {
            name: ident(&raw.name)?,
            home,
            subtype,
        }))
    }
}

/// What a server's `lc_monetary` makes of amounts; `unit` is the payload of one unit.
fn money_form(raw: &RawMoney) -> MoneyForm {
    let units = i64::from_str_radix(&raw.unit, 16).unwrap_or(0);
    MoneyForm::of(&raw.positive, &raw.negative, units)
}

fn ident(name: &str) -> Result<Ident, CatalogFault> {
    Ident::new(name).map_err(|error| CatalogFault::Shape(error.to_string()))
}

fn other(raw: &RawType, display: &str, home: TypeHome) -> Result<PgType, CatalogFault> {
    Ok(PgType::Other(Arc::new(OtherType {
        name: ident(&raw.name)?,
        home,
        display: display.to_owned(),
    })))
}

/// A type of `pg_catalog` that [`PgType`] has a variant for.
fn base(raw: &RawType, typmod: i32, display: &str) -> Option<PgType> {
    if raw.schema != "pg_catalog" {
        return None;
    }
    let precision = u8::try_from(typmod).ok();
    let length = u32::try_from(typmod - VARHDRSZ).ok();
    let bits = u32::try_from(typmod).ok();
    Some(match raw.name.as_str() {
        "bool" => PgType::Bool,
        "char" => PgType::SingleChar,
        "int2" => PgType::Int2,
        "int4" => PgType::Int4,
        "int8" => PgType::Int8,
        "float4" => PgType::Float4,
        "float8" => PgType::Float8,
        "numeric" => PgType::Numeric(numeric_mod(typmod)),
        "oid" => PgType::Oid,
        "xid" => PgType::Xid,
        "cid" => PgType::Cid,
        "xid8" => PgType::Xid8,
        "pg_lsn" => PgType::PgLsn,
        "text" => PgType::Text,
        "varchar" => PgType::Varchar(length),
        "bpchar" => PgType::Bpchar(length),
        "name" => PgType::Name,
        "xml" => PgType::Xml,
        "json" => PgType::Json,
        "jsonb" => PgType::Jsonb,
        "jsonpath" => PgType::JsonPath,
        "tsvector" => PgType::TsVector,
        "tsquery" => PgType::TsQuery,
        "bytea" => PgType::Bytea,
        "uuid" => PgType::Uuid,
        "date" => PgType::Date,
        "time" => PgType::Time(precision),
        "timetz" => PgType::TimeTz(precision),
        "timestamp" => PgType::Timestamp(precision),
        "timestamptz" => PgType::TimestampTz(precision),
        "interval" => IntervalLimit::parse(display).map_or(PgType::Interval, PgType::LimitedInterval),
        "inet" => PgType::Inet,
        "cidr" => PgType::Cidr,
        "macaddr" => PgType::MacAddr,
        "macaddr8" => PgType::MacAddr8,
        "bit" => PgType::Bit(bits),
        "varbit" => PgType::VarBit(bits),
        "point" => PgType::Point,
        "line" => PgType::Line,
        "lseg" => PgType::Lseg,
        "box" => PgType::Box,
        "path" => PgType::Path,
        "polygon" => PgType::Polygon,
        "circle" => PgType::Circle,
        _ => return None,
    })
}

fn of_extension(raw: &RawType, typmod: i32, display: &str, home: &TypeHome) -> Option<PgType> {
    let dimensions = u32::try_from(typmod).ok();
    let modifier = display
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map(str::to_owned);
    Some(match (raw.extension.as_deref()?, raw.name.as_str()) {
        ("vector", "vector") => PgType::Vector(dimensions, home.clone()),
        ("vector", "halfvec") => PgType::HalfVec(dimensions, home.clone()),
        ("vector", "sparsevec") => PgType::SparseVec(dimensions, home.clone()),
        ("hstore", "hstore") => PgType::Hstore(home.clone()),
        ("citext", "citext") => PgType::Citext(home.clone()),
        ("ltree", "ltree") => PgType::Ltree(home.clone()),
        ("ltree", "lquery") => PgType::Lquery(home.clone()),
        ("postgis", "geometry") => PgType::Geometry(modifier, home.clone()),
        ("postgis", "geography") => PgType::Geography(modifier, home.clone()),
        _ => return None,
    })
}

/// Precision in the high 16 bits, scale as 11 bits in two's complement (`numeric.c`, `make_numeric_typmod`).
fn numeric_mod(typmod: i32) -> Option<NumericMod> {
    let packed = typmod.checked_sub(VARHDRSZ).filter(|packed| *packed >= 0)?;
    let precision = u16::try_from((packed >> 16) & 0xffff).ok()?;
    let scale = i16::try_from(((packed & 0x7ff) ^ 0x400) - 0x400).ok()?;
    Some(NumericMod { precision, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_modifiers_decode_as_postgres_prints_them() {
        // pg_attribute.atttypmod of numeric(10,2) and numeric(5,-2), read from PostgreSQL 15.
        assert_eq!(
            numeric_mod(655_366),
            Some(NumericMod {
                precision: 10,
                scale: 2
            })
        );
        assert_eq!(
            numeric_mod(329_730),
            Some(NumericMod {
                precision: 5,
                scale: -2
            })
        );
        assert_eq!(numeric_mod(-1), None);
    }
}
