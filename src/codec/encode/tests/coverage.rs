//! Whether every type is held to bytes that Postgres produced: a type of the registry, or an Arrow type of the page, without
//! a golden case fails here. [`super::check_with`] tries each pair in every form (NULLs, slices, dictionaries, ...).

use std::cell::RefCell;
use std::mem::discriminant;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

use super::{
    containers, docs, documents, encoded, extensions, field, geometry, literals, nested, numeric, scalars, structured,
    temporal, variants,
};
use crate::codec::encode::lists::element_field;
use crate::model::extension;
use crate::model::options::TypeProfile;
use crate::model::pg_type::PgType;
use crate::model::type_map::default_type;

thread_local! {
    static SEEN: RefCell<Option<Vec<(Field, PgType)>>> = const { RefCell::new(None) };
}

/// Notes a pair that is compared with golden bytes, where somebody listens.
pub(super) fn note(field: &Field, target: &PgType) {
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            seen.push((field.clone(), target.clone()));
        }
    });
}

/// All pairs that the tests compare with golden bytes.
fn seen() -> Vec<(Field, PgType)> {
    SEEN.set(Some(Vec::new()));
    let checks = [
        containers::CHECKS,
        documents::CHECKS,
        encoded::CHECKS,
        extensions::CHECKS,
        geometry::CHECKS,
        literals::CHECKS,
        nested::CHECKS,
        numeric::CHECKS,
        scalars::CHECKS,
        structured::CHECKS,
        temporal::CHECKS,
        variants::CHECKS,
    ];
    checks.iter().copied().flatten().for_each(|check| check());
    SEEN.take().unwrap_or_default()
}

/// Position of a type in [`KINDS`]; a new one does not compile before it has a place here.
#[expect(clippy::too_many_lines, reason = "one line per type")]
fn kind(ty: &PgType) -> usize {
    match ty {
        PgType::Bool => 0,
        PgType::SingleChar => 1,
        PgType::Int2 => 2,
        PgType::Int4 => 3,
        PgType::Int8 => 4,
        PgType::Float4 => 5,
        PgType::Float8 => 6,
        PgType::Numeric(_) => 7,
        PgType::Money(_) => 8,
        PgType::Oid => 9,
        PgType::Xid => 10,
        PgType::Cid => 11,
        PgType::Xid8 => 12,
        PgType::PgLsn => 13,
        PgType::Text => 14,
        PgType::Varchar(_) => 15,
        PgType::Bpchar(_) => 16,
        PgType::Name => 17,
        PgType::Xml => 18,
        PgType::Citext(_) => 19,
        PgType::Ltree(_) => 20,
        PgType::Enum(_) => 21,
        PgType::Json => 22,
        PgType::Jsonb => 23,
        PgType::JsonPath => 24,
        PgType::Bytea => 25,
        PgType::Uuid => 26,
        PgType::Date => 27,
        PgType::Time(_) => 28,
        PgType::TimeTz(_) => 29,
        PgType::Timestamp(_) => 30,
        PgType::TimestampTz(_) => 31,
        PgType::Interval => 32,
        PgType::Inet => 33,
        PgType::Cidr => 34,
        PgType::MacAddr => 35,
        PgType::MacAddr8 => 36,
        PgType::Bit(_) => 37,
        PgType::VarBit(_) => 38,
        PgType::Point => 39,
        PgType::Line => 40,
        PgType::Lseg => 41,
        PgType::Box => 42,
        PgType::Path => 43,
        PgType::Polygon => 44,
        PgType::Circle => 45,
        PgType::Array(_) => 46,
        PgType::Range(_) => 47,
        PgType::Multirange(_) => 48,
        PgType::Composite(_) => 49,
        PgType::Hstore(_) => 50,
        PgType::Vector(_, _) => 51,
        PgType::HalfVec(_, _) => 52,
        PgType::SparseVec(_, _) => 53,
        PgType::Geometry(_, _) => 54,
        PgType::Geography(_, _) => 55,
        PgType::Other(_) => 56,
        PgType::TsVector => 57,
        PgType::TsQuery => 58,
        PgType::LimitedInterval(_) => 59,
        PgType::Lquery(_) => 60,
        // A domain is planned as what it is over.
        PgType::Domain(_) => 61,
    }
}

/// How many kinds there are, without domains.
const KINDS: usize = 61;

/// Every unit, width and layout that a type of the page stands for.
fn every_source() -> Vec<(String, Field)> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let zoned = |unit| DataType::Timestamp(unit, Some("UTC".into()));
    let units = [Second, Millisecond, Microsecond, Nanosecond];
    let spans = [
        IntervalUnit::YearMonth,
        IntervalUnit::DayTime,
        IntervalUnit::MonthDayNano,
    ];
    let item = Arc::new(field(DataType::Int32));
    let named = |data_type: DataType| (data_type.to_string(), field(data_type));
    let page = docs::sources()
        .into_iter()
        .map(|(name, source)| (name.to_owned(), source));
    page.chain(units.map(|unit| named(DataType::Timestamp(unit, None))))
        .chain(units.map(|unit| named(zoned(unit))))
        .chain(units.map(|unit| named(DataType::Duration(unit))))
        .chain([Second, Millisecond].map(|unit| named(DataType::Time32(unit))))
        .chain([Microsecond, Nanosecond].map(|unit| named(DataType::Time64(unit))))
        .chain(spans.map(|unit| named(DataType::Interval(unit))))
        .chain([2, 0, -2].map(|scale| named(DataType::Decimal32(9, scale))))
        .chain([2, 0, -2].map(|scale| named(DataType::Decimal64(18, scale))))
        .chain([2, 0, -2].map(|scale| named(DataType::Decimal128(38, scale))))
        .chain([2, 0, -2].map(|scale| named(DataType::Decimal256(76, scale))))
        .chain([DataType::LargeUtf8, DataType::Utf8View].map(named))
        .chain([DataType::LargeBinary, DataType::BinaryView].map(named))
        .chain([DataType::LargeList(item.clone()), DataType::ListView(item.clone())].map(named))
        .chain([DataType::LargeListView(item.clone()), DataType::FixedSizeList(item, 2)].map(named))
        .collect()
}

/// What makes two fields the same to the registry, as far as this test goes.
fn is_like(one: &Field, other: &Field) -> bool {
    let meaning = |field: &Field| field.metadata().get(extension::NAME).map(|name| name.to_owned());
    is_like_type(one.data_type(), other.data_type()) && meaning(one) == meaning(other)
}

/// Types of one unit and width; decimals with the point on the same side of their last digit.
fn is_like_type(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (DataType::Timestamp(one, here), DataType::Timestamp(other, there)) => {
            one == other && here.is_some() == there.is_some()
        }
        (DataType::Time32(one), DataType::Time32(other)) | (DataType::Time64(one), DataType::Time64(other)) => {
            one == other
        }
        (DataType::Duration(one), DataType::Duration(other)) => one == other,
        (DataType::Interval(one), DataType::Interval(other)) => one == other,
        (DataType::Decimal32(_, one), DataType::Decimal32(_, other))
        | (DataType::Decimal64(_, one), DataType::Decimal64(_, other))
        | (DataType::Decimal128(_, one), DataType::Decimal128(_, other))
        | (DataType::Decimal256(_, one), DataType::Decimal256(_, other)) => one.signum() == other.signum(),
        _ => discriminant(one) == discriminant(other),
    }
}

/// Whether a field is compared with golden bytes in the column type that is created for it: as it is, or as a list of that
/// layout whose elements are. `jsonb` is a version byte before the bytes of `json`.
fn is_held(source: &Field, seen: &[(Field, PgType)]) -> bool {
    let default = default_type(source, TypeProfile::Native);
    let form = |ty: &PgType| match ty {
        PgType::Jsonb => kind(&PgType::Json),
        other => kind(other),
    };
    let mut same = seen.iter().filter(|(_, target)| form(target) == form(&default));
    if let Some(element) = element_field(source.data_type()) {
        return same.any(|(field, _)| is_like_type(field.data_type(), source.data_type())) && is_held(element, seen);
    }
    same.any(|(field, _)| is_like(field, source))
}

#[test]
fn every_type_of_the_registry_and_of_the_page_has_golden_bytes() {
    let seen = seen();
    let targets = docs::targets();
    let mut listed: Vec<usize> = targets.iter().map(kind).collect();
    listed.sort_unstable();
    listed.dedup();
    assert_eq!(
        listed,
        (0..KINDS).collect::<Vec<_>>(),
        "docs/types.md shows every kind of column"
    );

    let sources = docs::sources();
    let takes_something = |target: &PgType| {
        let mut real = sources.iter().filter(|(name, _)| *name != "null");
        real.any(|(_, source)| docs::takes(source, target, TypeProfile::Native))
    };
    let without: Vec<String> = targets
        .iter()
        .filter(|target| takes_something(target))
        .filter(|target| !seen.iter().any(|(_, found)| kind(found) == kind(target)))
        .map(ToString::to_string)
        .collect();
    assert!(without.is_empty(), "column types without golden bytes: {without:?}");

    // NULL has no bytes of its own.
    let real = every_source().into_iter().filter(|(name, _)| name != "null");
    let without: Vec<String> = real
        .filter(|(_, source)| !is_held(source, &seen))
        .map(|(name, _)| name)
        .collect();
    assert!(
        without.is_empty(),
        "Arrow types without golden bytes in their own column type: {without:?}"
    );
}
