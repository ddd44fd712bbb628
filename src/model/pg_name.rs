//! Built-in Postgres types by the name that `pg_type.typname` and drivers give them.

use super::geometry::Modifier;
use super::installed::Installed;
use super::interval_limit::IntervalLimit;
use super::money::MoneyForm;
use super::pg_type::{NumericMod, PgType, TypeHome};

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
    ("money", PgType::Money(MoneyForm::UNKNOWN)),
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
    ("tsvector", PgType::TsVector),
    ("tsquery", PgType::TsQuery),
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

/// The names that SQL has for types whose catalog names are others.
const SQL_NAMES: &[(&str, &str)] = &[
    ("boolean", "bool"),
    ("smallint", "int2"),
    ("integer", "int4"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("double precision", "float8"),
    ("character varying", "varchar"),
    ("character", "bpchar"),
    ("bit varying", "varbit"),
    ("time without time zone", "time"),
    ("time with time zone", "timetz"),
    ("timestamp without time zone", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
];

/// A type as a driver or `format_type` writes it, in a database without PostGIS.
pub fn parse(text: &str) -> Option<PgType> {
    parse_on(&Installed::default(), text)
}

/// A type as a driver or `format_type` writes it: a catalog or SQL name of a built-in type or of pgvector's, or one of PostGIS'
/// where there is PostGIS, with its modifiers, and `[]` or a leading `_` for arrays of it.
pub fn parse_on(has: &Installed, text: &str) -> Option<PgType> {
    let text = text.trim();
    if let Some(element) = text.strip_suffix("[]").or_else(|| text.strip_prefix('_')) {
        return Some(match parse_on(has, element)? {
            // One array type serves any number of dimensions.
            PgType::Array(inner) => PgType::Array(inner),
            element => PgType::Array(Box::new(element)),
        });
    }
    if let Some(limit) = IntervalLimit::parse(text) {
        return Some(PgType::LimitedInterval(limit));
    }
    if let Some(ty) = geometry(has, text) {
        return Some(ty);
    }
    let Some((before, rest)) = text.split_once('(') else {
        return plain(text);
    };
    let (modifiers, after) = rest.split_once(')')?;
    // `timestamp(3) with time zone`: the modifier stands inside the name.
    let name = format!("{before}{after}");
    let numbers: Option<Vec<i32>> = modifiers.split(',').map(|number| number.trim().parse().ok()).collect();
    modified(plain(name.trim())?, &numbers?)
}

/// A type of PostGIS, where there is PostGIS. The modifier becomes a part of DDL, so it is written anew.
pub fn geometry(has: &Installed, text: &str) -> Option<PgType> {
    let (name, modifier) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(Modifier::parse(rest.strip_suffix(')')?)?.to_string())),
        None => (text, None),
    };
    match name.trim() {
        "geometry" => has.geometry(false, modifier),
        "geography" => has.geometry(true, modifier),
        _ => None,
    }
}

fn plain(name: &str) -> Option<PgType> {
    match name {
        // SQL's char is one character long, the type "char" is another.
        "char" => Some(PgType::Bpchar(Some(1))),
        "\"char\"" => Some(PgType::SingleChar),
        // As `pg_type` has it: Postgres prints the length of a column that was declared as `bit`.
        "bit" | "\"bit\"" => Some(PgType::Bit(None)),
        "vector" => Some(PgType::Vector(None, TypeHome::default())),
        "halfvec" => Some(PgType::HalfVec(None, TypeHome::default())),
        "sparsevec" => Some(PgType::SparseVec(None, TypeHome::default())),
        name => {
            let sql = SQL_NAMES.iter().find(|(sql, _)| *sql == name);
            builtin(sql.map_or(name, |(_, catalog)| catalog))
        }
    }
}

/// A type with its modifiers; `None` where it has none of that form.
fn modified(ty: PgType, numbers: &[i32]) -> Option<PgType> {
    let length = || match numbers {
        [length] => u32::try_from(*length).ok().filter(|length| *length > 0),
        _ => None,
    };
    let digits = || match numbers {
        [digits @ 0..=6] => u8::try_from(*digits).ok(),
        _ => None,
    };
    Some(match ty {
        PgType::Numeric(_) => {
            let (precision, scale) = match numbers {
                [precision] => (*precision, 0),
                [precision, scale] => (*precision, *scale),
                _ => return None,
            };
            PgType::Numeric(Some(NumericMod {
                precision: u16::try_from(precision)
                    .ok()
                    .filter(|digits| (1..=1000).contains(digits))?,
                scale: i16::try_from(scale)
                    .ok()
                    .filter(|digits| (-1000..=1000).contains(digits))?,
            }))
        }
        PgType::Varchar(_) => PgType::Varchar(Some(length()?)),
        PgType::Bpchar(_) => PgType::Bpchar(Some(length()?)),
        PgType::Bit(_) => PgType::Bit(Some(length()?)),
        PgType::VarBit(_) => PgType::VarBit(Some(length()?)),
        PgType::Vector(_, home) => PgType::Vector(Some(length()?), home),
        PgType::HalfVec(_, home) => PgType::HalfVec(Some(length()?), home),
        PgType::SparseVec(_, home) => PgType::SparseVec(Some(length()?), home),
        PgType::Time(_) => PgType::Time(Some(digits()?)),
        PgType::TimeTz(_) => PgType::TimeTz(Some(digits()?)),
        PgType::Timestamp(_) => PgType::Timestamp(Some(digits()?)),
        PgType::TimestampTz(_) => PgType::TimestampTz(Some(digits()?)),
        _ => return None,
    })
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
        PgType::Lquery(_) => name == "lquery",
        PgType::Geometry(_, _) => name == "geometry",
        PgType::Geography(_, _) => name == "geography",
        PgType::Bit(_) => name == "bit",
        builtin => BUILTIN
            .iter()
            .any(|(known, ty)| *known == name && ty.oid() == builtin.oid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ident::Ident;

    #[test]
    fn a_type_is_read_from_the_names_that_postgres_and_its_drivers_write() {
        for (text, sql) in [
            ("int4", "integer"),
            ("integer", "integer"),
            ("_int4", "integer[]"),
            ("text[][]", "text[]"),
            ("numeric(10,2)", "numeric(10,2)"),
            ("numeric(5, -2)", "numeric(5,-2)"),
            ("numeric(7)", "numeric(7,0)"),
            ("varchar(5)[]", "varchar(5)[]"),
            ("character varying(5)", "varchar(5)"),
            ("char", "char(1)"),
            ("\"char\"", "\"char\""),
            ("bpchar", "bpchar"),
            ("bit(3)", "bit(3)"),
            ("timestamp(0) with time zone", "timestamp(0) with time zone"),
            ("timestamptz", "timestamp with time zone"),
            ("time with time zone", "time with time zone"),
            ("vector(3)", "\"vector\"(3)"),
            ("interval day to second(3)[]", "interval day to second(3)[]"),
            ("_tsvector", "tsvector[]"),
            ("jsonb", "jsonb"),
        ] {
            assert_eq!(parse(text).map(|ty| ty.to_string()).as_deref(), Some(sql), "{text}");
        }
        for text in [
            "",
            "[]",
            "mood",
            "s.t",
            "numeric(x)",
            "numeric(1,2,3)",
            "numeric(0)",
            "varchar(0)",
            "int4(3)",
            "interval(7)",
            "text; drop",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (_, ty) in BUILTIN {
            assert_eq!(parse(&ty.to_string()).as_ref(), Some(ty), "what we write we read");
        }
    }

    #[test]
    fn a_type_of_postgis_is_read_where_there_is_postgis() {
        let has = Installed {
            postgis: Some(Ident::new("gis").unwrap()),
        };
        for (text, sql) in [
            ("geometry", "\"gis\".\"geometry\""),
            ("geometry(pointz, 4326)", "\"gis\".\"geometry\"(PointZ,4326)"),
            ("_geography", "\"gis\".\"geography\"[]"),
            ("geography(Point,4326)[]", "\"gis\".\"geography\"(Point,4326)[]"),
        ] {
            assert_eq!(
                parse_on(&has, text).map(|ty| ty.to_string()).as_deref(),
                Some(sql),
                "{text}"
            );
            assert_eq!(parse(text), None, "without PostGIS, {text}");
        }
        for text in [
            "geometry(Point,4326",
            "geometry(Point); drop table t; --)",
            "geometry()",
        ] {
            assert_eq!(parse_on(&has, text), None, "{text}");
        }
    }
}
