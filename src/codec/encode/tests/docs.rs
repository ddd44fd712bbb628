//! Holds the tables of `docs/types.md` to the code. `PGFLIGHT_REGEN_DOCS=1 cargo test` rewrites them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};

use super::literals::{dollars, system};
use super::{extended, field, plan_with};
use crate::codec::encode::EncodeOptions;
use crate::model::ident::Ident;
use crate::model::interval_limit::IntervalLimit;
use crate::model::options::TypeProfile;
use crate::model::pg_type::{CompositeType, EnumType, OtherType, PgType, RangeType, TypeHome};
use crate::model::type_map::default_type;

fn item(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", data_type, true))
}

fn members(members: &[(&str, DataType)]) -> DataType {
    DataType::Struct(
        members
            .iter()
            .map(|(name, ty)| Field::new(*name, ty.clone(), true))
            .collect::<Fields>(),
    )
}

/// One Arrow type of each kind, under the name that the page uses.
#[expect(clippy::too_many_lines, reason = "a list, one line per type")]
pub(super) fn sources() -> Vec<(&'static str, Field)> {
    let fixed16 = || DataType::FixedSizeBinary(16);
    let strings = DataType::Struct(Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Utf8, true),
    ]));
    let union = UnionFields::try_new([0], [Field::new("a", DataType::Int32, true)]).unwrap();
    let opaque = "{\"type_name\":\"point\",\"vendor_name\":\"PostgreSQL\"}";
    let with_offset = DataType::Struct(Fields::from(vec![
        Field::new(
            "timestamp",
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            false,
        ),
        Field::new("offset_minutes", DataType::Int16, false),
    ]));
    vec![
        ("null", field(DataType::Null)),
        ("bool", field(DataType::Boolean)),
        ("int8", field(DataType::Int8)),
        ("int16", field(DataType::Int16)),
        ("int32", field(DataType::Int32)),
        ("int64", field(DataType::Int64)),
        ("uint8", field(DataType::UInt8)),
        ("uint16", field(DataType::UInt16)),
        ("uint32", field(DataType::UInt32)),
        ("uint64", field(DataType::UInt64)),
        ("float16", field(DataType::Float16)),
        ("float32", field(DataType::Float32)),
        ("float64", field(DataType::Float64)),
        ("decimal(10,2)", field(DataType::Decimal128(10, 2))),
        ("decimal256(50,5)", field(DataType::Decimal256(50, 5))),
        ("string", field(DataType::Utf8)),
        ("binary", field(DataType::Binary)),
        ("fixed_size_binary(16)", field(fixed16())),
        ("date32", field(DataType::Date32)),
        ("date64", field(DataType::Date64)),
        ("time", field(DataType::Time64(TimeUnit::Microsecond))),
        ("timestamp", field(DataType::Timestamp(TimeUnit::Microsecond, None))),
        (
            "timestamp with zone",
            field(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))),
        ),
        ("duration", field(DataType::Duration(TimeUnit::Second))),
        ("interval", field(DataType::Interval(IntervalUnit::MonthDayNano))),
        ("list of int32", field(DataType::List(item(DataType::Int32)))),
        (
            "list of float32",
            field(DataType::FixedSizeList(item(DataType::Float32), 2)),
        ),
        ("list of bool", field(DataType::List(item(DataType::Boolean)))),
        ("list of string", field(DataType::List(item(DataType::Utf8)))),
        (
            "list of lists of int32",
            field(DataType::List(item(DataType::List(item(DataType::Int32))))),
        ),
        (
            "struct{a, b}",
            field(members(&[("a", DataType::Int32), ("b", DataType::Utf8)])),
        ),
        (
            "struct{lower, upper}",
            field(members(&[("lower", DataType::Int32), ("upper", DataType::Int32)])),
        ),
        (
            "list of {lower, upper}",
            field(DataType::List(item(members(&[
                ("lower", DataType::Int32),
                ("upper", DataType::Int32),
            ])))),
        ),
        (
            "map of strings",
            field(DataType::Map(Arc::new(Field::new("entries", strings, false)), false)),
        ),
        ("union", field(DataType::Union(union, UnionMode::Dense))),
        ("arrow.uuid", extended(fixed16(), "arrow.uuid", "")),
        ("arrow.json", extended(DataType::Utf8, "arrow.json", "")),
        ("arrow.bool8", extended(DataType::Int8, "arrow.bool8", "")),
        ("arrow.opaque point", extended(DataType::Binary, "arrow.opaque", opaque)),
        (
            "arrow.timestamp_with_offset",
            extended(with_offset, "arrow.timestamp_with_offset", ""),
        ),
        (
            "arrow.parquet.variant",
            extended(
                members(&[("metadata", DataType::Binary), ("value", DataType::Binary)]),
                "arrow.parquet.variant",
                "",
            ),
        ),
        ("geoarrow.wkb", extended(DataType::Binary, "geoarrow.wkb", "{}")),
        ("geoarrow.wkt", extended(DataType::Utf8, "geoarrow.wkt", "{}")),
        ("CloudQuery uuid", extended(fixed16(), "uuid", "uuid-serialized")),
        ("CloudQuery json", extended(DataType::Binary, "json", "json-serialized")),
        ("CloudQuery inet", extended(DataType::Binary, "inet", "inet-serialized")),
        ("CloudQuery mac", extended(DataType::Binary, "mac", "mac-serialized")),
    ]
}

/// One column type of each kind; also those that take nothing.
#[expect(clippy::too_many_lines, reason = "a list, one line per type")]
pub(super) fn targets() -> Vec<PgType> {
    let home = TypeHome::default;
    let name = |name: &str| Ident::new(name).unwrap();
    let range = Arc::new(RangeType {
        name: name("int4range"),
        home: home(),
        subtype: PgType::Int4,
    });
    let multirange = Arc::new(RangeType {
        name: name("int4multirange"),
        home: home(),
        subtype: PgType::Int4,
    });
    let labels = Arc::new(EnumType {
        name: name("some_enum"),
        home: home(),
        labels: vec!["a".to_owned()],
    });
    let attributes = vec![(name("a"), PgType::Int4), (name("b"), PgType::Text)];
    let row = Arc::new(CompositeType {
        name: name("some_row"),
        home: home(),
        fields: attributes,
    });
    let other = Arc::new(OtherType {
        name: name("cube"),
        home: home(),
        display: "cube".to_owned(),
    });
    let array = |element| PgType::Array(Box::new(element));
    vec![
        PgType::Bool,
        PgType::Int2,
        PgType::Int4,
        PgType::Int8,
        PgType::Oid,
        PgType::Xid,
        PgType::Cid,
        PgType::Xid8,
        PgType::PgLsn,
        PgType::Money(dollars()),
        PgType::Float4,
        PgType::Float8,
        PgType::Numeric(None),
        PgType::Text,
        PgType::Varchar(Some(10)),
        PgType::Bpchar(Some(10)),
        PgType::Citext(home()),
        PgType::Name,
        PgType::SingleChar,
        PgType::Xml,
        PgType::Ltree(home()),
        PgType::Lquery(home()),
        PgType::Enum(labels),
        PgType::Json,
        PgType::Jsonb,
        PgType::JsonPath,
        PgType::TsVector,
        PgType::TsQuery,
        PgType::Bytea,
        PgType::Uuid,
        PgType::Date,
        PgType::Time(None),
        PgType::TimeTz(None),
        PgType::Timestamp(None),
        PgType::TimestampTz(None),
        PgType::Interval,
        PgType::LimitedInterval(IntervalLimit::parse("interval(2)").unwrap()),
        PgType::Inet,
        PgType::Cidr,
        PgType::MacAddr,
        PgType::MacAddr8,
        PgType::Bit(Some(3)),
        PgType::VarBit(None),
        PgType::Point,
        PgType::Line,
        PgType::Lseg,
        PgType::Box,
        PgType::Path,
        PgType::Polygon,
        PgType::Circle,
        array(PgType::Int4),
        array(PgType::Float8),
        array(PgType::Text),
        PgType::Range(range),
        PgType::Multirange(multirange),
        PgType::Composite(row),
        PgType::Hstore(home()),
        PgType::Vector(Some(2), home()),
        PgType::HalfVec(Some(2), home()),
        PgType::SparseVec(Some(2), home()),
        PgType::Geometry(None, home()),
        PgType::Geography(None, home()),
        system("tid"),
        system("refcursor"),
        system("int2vector"),
        system("oidvector"),
        system("pg_snapshot"),
        system("txid_snapshot"),
        system("regclass"),
        PgType::Other(other),
    ]
}

pub(super) fn takes(source: &Field, target: &PgType, type_profile: TypeProfile) -> bool {
    plan_with(
        source,
        target,
        &EncodeOptions {
            type_profile,
            ..EncodeOptions::default()
        },
    )
    .is_ok()
}

fn defaults() -> String {
    let mut table = String::from("| Arrow | `native` | `cloudquery` |\n|---|---|---|\n");
    for (name, source) in sources() {
        let column = |profile| {
            let ty = default_type(&source, profile);
            assert!(
                takes(&source, &ty, profile),
                "{name} has the default {ty} and cannot be stored in it"
            );
            format!("`{}`", ty.to_string().replace('"', ""))
        };
        table += &format!(
            "| {name} | {} | {} |\n",
            column(TypeProfile::Native),
            column(TypeProfile::Cloudquery)
        );
    }
    table
}

fn taken() -> String {
    let mut table = String::from("| Column | Arrow types |\n|---|---|\n");
    for target in targets() {
        let names: Vec<&str> = sources()
            .iter()
            .filter(|(_, source)| takes(source, &target, TypeProfile::Native))
            .map(|(name, _)| *name)
            .collect();
        let names = if names == ["null"] {
            "nothing but NULL".to_owned()
        } else {
            names[1..].join(", ")
        };
        table += &format!("| `{}` | {names} |\n", target.to_string().replace('"', ""));
    }
    table
}

#[test]
fn the_type_tables_are_those_of_the_code() {
    let path = format!("{}/docs/types.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).unwrap();
    let mut found = HashMap::new();
    let mut rebuilt = page.clone();
    for (section, table) in [("defaults", defaults()), ("targets", taken())] {
        let (before, rest) = rebuilt.split_once(&format!("<!-- {section}:begin")).unwrap();
        let (opening, rest) = rest.split_once("-->\n").unwrap();
        let (old, after) = rest.split_once(&format!("<!-- {section}:end -->")).unwrap();
        found.insert(section, (old.to_owned(), table.clone()));
        rebuilt = format!("{before}<!-- {section}:begin{opening}-->\n{table}<!-- {section}:end -->{after}");
    }
    if std::env::var_os("PGFLIGHT_REGEN_DOCS").is_some() {
        std::fs::write(&path, rebuilt).unwrap();
        return;
    }
    for (section, (old, new)) in found {
        assert_eq!(
            old, new,
            "docs/types.md, {section}: run PGFLIGHT_REGEN_DOCS=1 cargo test --lib type_tables"
        );
    }
}
