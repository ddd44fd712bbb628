//! A Postgres type as a column declares it: enough to render DDL, to compare two shapes and to choose an encoder.
//!
//! Names and OIDs are those of `pg_type.dat`; OIDs of types that a database makes itself (enums, domains, extension
//! types) are only known after the catalog was read and travel in [`TypeHome`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::ident::Ident;
use super::interval_limit::IntervalLimit;
use super::money::MoneyForm;

/// Where a non-built-in type lives. Two types are equal whatever their homes: a wanted type has none yet.
#[derive(Clone, Debug, Default)]
pub struct TypeHome {
    /// Schema of the type, once known.
    pub schema: Option<Ident>,
    /// OID of the type, once known (0: unknown).
    pub oid: u32,
    /// OID of its array type, once known (0: unknown).
    pub array_oid: u32,
}

impl PartialEq for TypeHome {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for TypeHome {}
impl Hash for TypeHome {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Precision and scale of `numeric(p,s)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NumericMod {
    /// Digits in all, 1 to 1000.
    pub precision: u16,
    /// Digits after the point, -1000 to 1000 (negative from Postgres 15 on).
    pub scale: i16,
}

/// A Postgres type with its type modifier.
#[expect(
    missing_docs,
    reason = "variants carry the names of the Postgres types; fields are documented where not obvious"
)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PgType {
    Bool,
    /// The one-byte type `"char"`.
    SingleChar,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric(Option<NumericMod>),
    /// Minor units of the currency that the server's `lc_monetary` names.
    Money(MoneyForm),
    Oid,
    Xid,
    Cid,
    Xid8,
    PgLsn,
    Text,
    Varchar(Option<u32>),
    /// `char(n)`, blank padded; `None` is `bpchar` without a length.
    Bpchar(Option<u32>),
    Name,
    Xml,
    Json,
    Jsonb,
    JsonPath,
    TsVector,
    TsQuery,
    Bytea,
    Uuid,
    Date,
    /// Fractional digits 0 to 6; `None` is the default of 6.
    Time(Option<u8>),
    TimeTz(Option<u8>),
    Timestamp(Option<u8>),
    TimestampTz(Option<u8>),
    Interval,
    /// An interval type that keeps less than `interval` does.
    LimitedInterval(IntervalLimit),
    Inet,
    Cidr,
    MacAddr,
    MacAddr8,
    Bit(Option<u32>),
    VarBit(Option<u32>),
    Point,
    Line,
    Lseg,
    Box,
    Path,
    Polygon,
    Circle,
    Array(std::boxed::Box<PgType>),
    /// A range type over the given subtype.
    Range(Arc<RangeType>),
    Multirange(Arc<RangeType>),
    /// pgvector `vector(n)`.
    Vector(Option<u32>, TypeHome),
    /// pgvector `halfvec(n)`.
    HalfVec(Option<u32>, TypeHome),
    /// pgvector `sparsevec(n)`.
    SparseVec(Option<u32>, TypeHome),
    Hstore(TypeHome),
    Citext(TypeHome),
    Ltree(TypeHome),
    Lquery(TypeHome),
    /// PostGIS `geometry`; the text is the type modifier as Postgres prints it, e.g. `Point,4326`.
    Geometry(Option<String>, TypeHome),
    Geography(Option<String>, TypeHome),
    Enum(Arc<EnumType>),
    Domain(Arc<DomainType>),
    Composite(Arc<CompositeType>),
    /// A type that pgflight has no rule for; only usable where text or raw bytes are passed by documented rule.
    Other(Arc<OtherType>),
}

/// A range or multirange type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RangeType {
    /// Name, e.g. `int4range` or `int4multirange`.
    pub name: Ident,
    /// Where it lives (`pg_catalog` for the built-in ones).
    pub home: TypeHome,
    /// Type of the bounds.
    pub subtype: PgType,
}

/// An enum type with its labels in sort order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EnumType {
    /// Name.
    pub name: Ident,
    /// Where it lives.
    pub home: TypeHome,
    /// Labels in `enumsortorder`.
    pub labels: Vec<String>,
}

/// A domain over another type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DomainType {
    /// Name.
    pub name: Ident,
    /// Where it lives.
    pub home: TypeHome,
    /// The type it is over.
    pub base: PgType,
    /// Whether the domain itself forbids NULL.
    pub not_null: bool,
}

/// A row type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompositeType {
    /// Name.
    pub name: Ident,
    /// Where it lives.
    pub home: TypeHome,
    /// Attributes that were not dropped, in order.
    pub fields: Vec<(Ident, PgType)>,
}

/// A type without a rule of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OtherType {
    /// Name.
    pub name: Ident,
    /// Where it lives.
    pub home: TypeHome,
    /// As `format_type` prints it.
    pub display: String,
}

impl PgType {
    /// OID of the type itself: fixed for built-in types, from the catalog for the rest (0: not known yet).
    pub fn oid(&self) -> u32 {
        self.builtin_oids()
            .map_or_else(|| self.home().map_or(0, |home| home.oid), |(oid, _)| oid)
    }

    /// OID of the array type over this type (0: not known, or there is none).
    pub fn array_oid(&self) -> u32 {
        self.builtin_oids()
            .map_or_else(|| self.home().map_or(0, |home| home.array_oid), |(_, oid)| oid)
    }

    /// The type of an array's elements.
    pub fn element(&self) -> Option<&PgType> {
        match self {
            PgType::Array(element) => Some(element),
            _ => None,
        }
    }

    /// Whether it is a type that every Postgres has and nobody changes: not made by anybody, and of one meaning whatever is set.
    pub fn is_fixed(&self) -> bool {
        match self {
            PgType::Array(element) => element.is_fixed(),
            PgType::Money(_) => false,
            other => other.builtin_oids().is_some(),
        }
    }

    /// `(oid, array oid)` of a type that every Postgres has.
    fn builtin_oids(&self) -> Option<(u32, u32)> {
        Some(match self {
            PgType::Bool => (16, 1000),
            PgType::SingleChar => (18, 1002),
            PgType::Int2 => (21, 1005),
            PgType::Int4 => (23, 1007),
            PgType::Int8 => (20, 1016),
            PgType::Float4 => (700, 1021),
            PgType::Float8 => (701, 1022),
            PgType::Numeric(_) => (1700, 1231),
            PgType::Money(_) => (790, 791),
            PgType::Oid => (26, 1028),
            PgType::Xid => (28, 1011),
            PgType::Cid => (29, 1012),
            PgType::Xid8 => (5069, 271),
            PgType::PgLsn => (3220, 3221),
            PgType::Text => (25, 1009),
            PgType::Varchar(_) => (1043, 1015),
            PgType::Bpchar(_) => (1042, 1014),
            PgType::Name => (19, 1003),
            PgType::Xml => (142, 143),
            PgType::Json => (114, 199),
            PgType::Jsonb => (3802, 3807),
            PgType::JsonPath => (4072, 4073),
            PgType::TsVector => (3614, 3643),
            PgType::TsQuery => (3615, 3645),
            PgType::Bytea => (17, 1001),
            PgType::Uuid => (2950, 2951),
            PgType::Date => (1082, 1182),
            PgType::Time(_) => (1083, 1183),
            PgType::TimeTz(_) => (1266, 1270),
            PgType::Timestamp(_) => (1114, 1115),
            PgType::TimestampTz(_) => (1184, 1185),
            PgType::Interval | PgType::LimitedInterval(_) => (1186, 1187),
            PgType::Inet => (869, 1041),
            PgType::Cidr => (650, 651),
            PgType::MacAddr => (829, 1040),
            PgType::MacAddr8 => (774, 775),
            PgType::Bit(_) => (1560, 1561),
            PgType::VarBit(_) => (1562, 1563),
            PgType::Point => (600, 1017),
            PgType::Line => (628, 629),
            PgType::Lseg => (601, 1018),
            PgType::Box => (603, 1020),
            PgType::Path => (602, 1019),
            PgType::Polygon => (604, 1027),
            PgType::Circle => (718, 719),
            PgType::Array(element) => (element.array_oid(), 0),
            _ => return None,
        })
    }

    /// Where a non-built-in type lives.
    pub fn home(&self) -> Option<&TypeHome> {
        match self {
            PgType::Range(range) | PgType::Multirange(range) => Some(&range.home),
            PgType::Vector(_, home)
            | PgType::HalfVec(_, home)
            | PgType::SparseVec(_, home)
            | PgType::Hstore(home)
            | PgType::Citext(home)
            | PgType::Ltree(home)
            | PgType::Lquery(home)
            | PgType::Geometry(_, home)
            | PgType::Geography(_, home) => Some(home),
            PgType::Enum(ty) => Some(&ty.home),
            PgType::Domain(ty) => Some(&ty.home),
            PgType::Composite(ty) => Some(&ty.home),
            PgType::Other(ty) => Some(&ty.home),
            _ => None,
        }
    }
}

/// Renders the type as DDL needs it: built-in names bare, the rest quoted and qualified where the schema is known.
impl fmt::Display for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PgType::Numeric(Some(m)) => write!(f, "numeric({},{})", m.precision, m.scale),
            PgType::Varchar(n) => with_length(f, "varchar", *n),
            // A bare `char` would mean char(1); `bpchar` is the unbounded one.
            PgType::Bpchar(Some(n)) => write!(f, "char({n})"),
            // A bare `bit` would mean bit(1); the catalog's own name has no length.
            PgType::Bit(None) => f.write_str("\"bit\""),
            PgType::Bit(n) => with_length(f, "bit", *n),
            PgType::VarBit(n) => with_length(f, "varbit", *n),
            PgType::Time(p) => with_length(f, "time", p.map(u32::from)),
            PgType::TimeTz(p) => with_precision(f, "time", *p, " with time zone"),
            PgType::Timestamp(p) => with_length(f, "timestamp", p.map(u32::from)),
            PgType::TimestampTz(p) => with_precision(f, "timestamp", *p, " with time zone"),
            PgType::LimitedInterval(limit) => limit.fmt(f),
            PgType::Array(element) => write!(f, "{element}[]"),
            PgType::Range(ty) | PgType::Multirange(ty) => named(f, &ty.home, ty.name.as_str(), None),
            PgType::Vector(n, home) => named(f, home, "vector", n.map(|n| n.to_string())),
            PgType::HalfVec(n, home) => named(f, home, "halfvec", n.map(|n| n.to_string())),
            PgType::SparseVec(n, home) => named(f, home, "sparsevec", n.map(|n| n.to_string())),
            PgType::Hstore(home) => named(f, home, "hstore", None),
            PgType::Citext(home) => named(f, home, "citext", None),
            PgType::Ltree(home) => named(f, home, "ltree", None),
            PgType::Lquery(home) => named(f, home, "lquery", None),
            PgType::Geometry(m, home) => named(f, home, "geometry", m.clone()),
            PgType::Geography(m, home) => named(f, home, "geography", m.clone()),
            PgType::Enum(ty) => named(f, &ty.home, ty.name.as_str(), None),
            PgType::Domain(ty) => named(f, &ty.home, ty.name.as_str(), None),
            PgType::Composite(ty) => named(f, &ty.home, ty.name.as_str(), None),
            PgType::Other(ty) => f.write_str(&ty.display),
            simple => f.write_str(simple.simple_name()),
        }
    }
}

impl PgType {
    /// SQL name of a type without modifiers (and of the unmodified form of those that have them).
    fn simple_name(&self) -> &'static str {
        match self {
            PgType::Bool => "boolean",
            PgType::SingleChar => "\"char\"",
            PgType::Int2 => "smallint",
            PgType::Int4 => "integer",
            PgType::Int8 => "bigint",
            PgType::Float4 => "real",
            PgType::Float8 => "double precision",
            PgType::Numeric(_) => "numeric",
            PgType::Money(_) => "money",
            PgType::Oid => "oid",
            PgType::Xid => "xid",
            PgType::Cid => "cid",
            PgType::Xid8 => "xid8",
            PgType::PgLsn => "pg_lsn",
            PgType::Text => "text",
            PgType::Bpchar(_) => "bpchar",
            PgType::Name => "name",
            PgType::Xml => "xml",
            PgType::Json => "json",
            PgType::Jsonb => "jsonb",
            PgType::JsonPath => "jsonpath",
            PgType::TsVector => "tsvector",
            PgType::TsQuery => "tsquery",
            PgType::Bytea => "bytea",
            PgType::Uuid => "uuid",
            PgType::Date => "date",
            PgType::Interval => "interval",
            PgType::Inet => "inet",
            PgType::Cidr => "cidr",
            PgType::MacAddr => "macaddr",
            PgType::MacAddr8 => "macaddr8",
            PgType::Point => "point",
            PgType::Line => "line",
            PgType::Lseg => "lseg",
            PgType::Box => "box",
            PgType::Path => "path",
            PgType::Polygon => "polygon",
            PgType::Circle => "circle",
            _ => "",
        }
    }
}

fn with_length(f: &mut fmt::Formatter<'_>, name: &str, n: Option<u32>) -> fmt::Result {
    match n {
        Some(n) => write!(f, "{name}({n})"),
        None => f.write_str(name),
    }
}

fn with_precision(f: &mut fmt::Formatter<'_>, name: &str, p: Option<u8>, suffix: &str) -> fmt::Result {
    with_length(f, name, p.map(u32::from))?;
    f.write_str(suffix)
}

fn named(f: &mut fmt::Formatter<'_>, home: &TypeHome, name: &str, modifier: Option<String>) -> fmt::Result {
    if let Some(schema) = &home.schema {
        write!(f, "{}.", schema.quoted())?;
    }
    write!(f, "\"{}\"", name.replace('"', "\"\""))?;
    match modifier {
        Some(modifier) => write!(f, "({modifier})"),
        None => Ok(()),
    }
}
