//! Built-in Postgres types by the name that `pg_type.typname` and drivers give them.

use super::pg_type::PgType;

/// Every built-in type that a column can have without a rule of its own database.
const BUILTIN: &[(&str, PgType)] = &[
    ("bool", PgType::Bool),
    ("char", PgType::SingleChar),
    ("int2", PgType::Int2),
    ("int4", PgType::Int4),
    ("int8", PgType::Int8),
    ("float4", PgType::Float4),
    ("float8", PgType::Float8),
    ("numeric", PgType::Numeric(None)),
    ("money", PgType::Money),
    ("oid", PgType::Oid),
    ("xid", PgType::Xid),
    ("cid", PgType::Cid),
    ("xid8", PgType::Xid8),
    ("pg_lsn", PgType::PgLsn),
    ("text", PgType::Text),
    ("varchar", PgType::Varchar(None)),
    ("bpchar", PgType::Bpchar(None)),
    ("name", PgType::Name),
    ("xml", PgType::Xml),
    ("json", PgType::Json),
    ("jsonb", PgType::Jsonb),
    ("jsonpath", PgType::JsonPath),
    ("bytea", PgType::Bytea),
    ("uuid", PgType::Uuid),
    ("date", PgType::Date),
    ("time", PgType::Time(None)),
    ("timetz", PgType::TimeTz(None)),
    ("timestamp", PgType::Timestamp(None)),
    ("timestamptz", PgType::TimestampTz(None)),
    ("interval", PgType::Interval),
    ("inet", PgType::Inet),
    ("cidr", PgType::Cidr),
    ("macaddr", PgType::MacAddr),
    ("macaddr8", PgType::MacAddr8),
    ("varbit", PgType::VarBit(None)),
    ("point", PgType::Point),
    ("line", PgType::Line),
    ("lseg", PgType::Lseg),
    ("box", PgType::Box),
    ("path", PgType::Path),
    ("polygon", PgType::Polygon),
    ("circle", PgType::Circle),
];

/// The type of that name, without a modifier.
pub fn builtin(name: &str) -> Option<PgType> {
    BUILTIN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, ty)| ty.clone())
}

/// Whether `name` is the catalog's name of `ty`, whatever modifier `ty` has.
pub fn names(name: &str, ty: &PgType) -> bool {
    match ty {
        PgType::Range(range) | PgType::Multirange(range) => range.name.as_str() == name,
        PgType::Enum(ty) => ty.name.as_str() == name,
        PgType::Composite(ty) => ty.name.as_str() == name,
        PgType::Domain(ty) => ty.name.as_str() == name,
        PgType::Other(ty) => ty.name.as_str() == name,
        PgType::Vector(_, _) => name == "vector",
        PgType::HalfVec(_, _) => name == "halfvec",
        PgType::SparseVec(_, _) => name == "sparsevec",
        PgType::Hstore(_) => name == "hstore",
        PgType::Citext(_) => name == "citext",
        PgType::Ltree(_) => name == "ltree",
        PgType::Geometry(_, _) => name == "geometry",
        PgType::Geography(_, _) => name == "geography",
        PgType::Bit(_) => name == "bit",
        builtin => BUILTIN
            .iter()
            .any(|(known, ty)| *known == name && ty.oid() == builtin.oid()),
    }
}
