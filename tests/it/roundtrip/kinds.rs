//! Every kind of column there is: each Arrow type in each unit and width, with everything that can be around it.

use std::sync::Arc;

use arrow::datatypes::*;
use fastrand::Rng;

use super::column::{Column, Draw};
use super::documents::Shape;
use super::extensions as ext;
use super::layouts as lay;
use super::lists::{self, Layout};
use super::numbers as num;
use super::temporal as time;

type Make = fn(&mut Draw, usize) -> Column;

/// What a column of a test is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Flat(usize),
    /// Any flat kind behind keys of the nth type of integers.
    Dictionary(usize, usize),
    /// Any flat kind in runs whose ends are the nth type of integers.
    Runs(usize, usize),
    List(Layout, Box<Kind>),
    Tensor(usize),
    VariableTensor,
    Document(Box<Shape>),
    /// Values that cannot be read unless somebody asks for their own type.
    Late(usize),
}

const NANO: i64 = 1;
const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// Types that have elements of no other type.
const FLAT: &[(&str, Make)] = &[
    ("bool", num::booleans),
    ("int8", num::integers::<Int8Type>),
    ("int16", num::integers::<Int16Type>),
    ("int32", num::integers::<Int32Type>),
    ("int64", num::integers::<Int64Type>),
    ("uint8", num::integers::<UInt8Type>),
    ("uint16", num::integers::<UInt16Type>),
    ("uint32", num::integers::<UInt32Type>),
    ("uint64", num::integers::<UInt64Type>),
    ("float16", num::halves),
    ("float32", num::singles),
    ("float64", num::doubles),
    ("decimal32", |d, n| num::decimals::<Decimal32Type>(d, n, 9, 2)),
    ("decimal32 of a negative scale", |d, n| {
        num::decimals::<Decimal32Type>(d, n, 9, -3)
    }),
    ("decimal64", |d, n| num::decimals::<Decimal64Type>(d, n, 18, 18)),
    ("decimal64 of a negative scale", |d, n| {
        num::decimals::<Decimal64Type>(d, n, 17, -8)
    }),
    ("decimal128", |d, n| num::decimals::<Decimal128Type>(d, n, 38, 9)),
    ("decimal128 of no scale", |d, n| {
        num::decimals::<Decimal128Type>(d, n, 20, 0)
    }),
    ("decimal128 of a negative scale", |d, n| {
        num::decimals::<Decimal128Type>(d, n, 33, -5)
    }),
    ("decimal256", |d, n| num::decimals::<Decimal256Type>(d, n, 76, 37)),
    ("decimal256 of a negative scale", |d, n| {
        num::decimals::<Decimal256Type>(d, n, 70, -6)
    }),
    ("decimal256 of 81 digits", |d, n| {
        num::decimals::<Decimal256Type>(d, n, 76, -5)
    }),
    ("date32", time::days),
    ("date64", time::milliseconds_of_days),
    ("time32 s", |d, n| time::times::<Time32SecondType>(d, n, SECOND)),
    ("time32 ms", |d, n| time::times::<Time32MillisecondType>(d, n, MILLI)),
    ("time64 us", |d, n| time::times::<Time64MicrosecondType>(d, n, MICRO)),
    ("time64 ns", |d, n| time::times::<Time64NanosecondType>(d, n, NANO)),
    ("timestamp s", |d, n| {
        time::instants::<TimestampSecondType>(d, n, SECOND, None)
    }),
    ("timestamp ms", |d, n| {
        time::instants::<TimestampMillisecondType>(d, n, MILLI, None)
    }),
    ("timestamp us", |d, n| {
        time::instants::<TimestampMicrosecondType>(d, n, MICRO, None)
    }),
    ("timestamp ns", |d, n| {
        time::instants::<TimestampNanosecondType>(d, n, NANO, None)
    }),
    ("timestamp s UTC", |d, n| {
        time::instants::<TimestampSecondType>(d, n, SECOND, Some("UTC"))
    }),
    ("timestamp ms +05:30", |d, n| {
        time::instants::<TimestampMillisecondType>(d, n, MILLI, Some("+05:30"))
    }),
    ("timestamp us UTC", |d, n| {
        time::instants::<TimestampMicrosecondType>(d, n, MICRO, Some("UTC"))
    }),
    ("timestamp us Europe/Berlin", |d, n| {
        time::instants::<TimestampMicrosecondType>(d, n, MICRO, Some("Europe/Berlin"))
    }),
    ("timestamp ns -08:00", |d, n| {
        time::instants::<TimestampNanosecondType>(d, n, NANO, Some("-08:00"))
    }),
    ("duration s", |d, n| {
        time::durations::<DurationSecondType>(d, n, SECOND, false)
    }),
    ("duration ms", |d, n| {
        time::durations::<DurationMillisecondType>(d, n, MILLI, false)
    }),
    ("duration us", |d, n| {
        time::durations::<DurationMicrosecondType>(d, n, MICRO, false)
    }),
    ("duration ns", |d, n| {
        time::durations::<DurationNanosecondType>(d, n, NANO, false)
    }),
    ("interval of months", time::months),
    ("interval of days and milliseconds", time::days_and_milliseconds),
    ("interval of months, days and nanoseconds", time::months_days_nanos),
    ("utf8", |d, n| lay::strings(d, n, &DataType::Utf8)),
    ("large utf8", |d, n| lay::strings(d, n, &DataType::LargeUtf8)),
    ("utf8 view", |d, n| lay::strings(d, n, &DataType::Utf8View)),
    ("binary", |d, n| lay::binaries(d, n, &DataType::Binary)),
    ("large binary", |d, n| lay::binaries(d, n, &DataType::LargeBinary)),
    ("binary view", |d, n| lay::binaries(d, n, &DataType::BinaryView)),
    ("16 bytes", lay::fixed_binaries::<16>),
    ("3 bytes", lay::fixed_binaries::<3>),
    ("arrow.uuid", ext::uuids),
    ("arrow.bool8", ext::bool8s),
    ("arrow.json", |d, n| ext::json(d, n, &DataType::Utf8)),
    ("arrow.json in a view", |d, n| ext::json(d, n, &DataType::Utf8View)),
    ("arrow.timestamp_with_offset", ext::instants_with_offset),
    ("arrow.opaque inet", |d, n| {
        ext::opaque_texts(
            d,
            n,
            "inet",
            &["0.0.0.0/0", "::", "::/0", "255.255.255.255"],
            ext::address,
        )
    }),
    ("arrow.opaque numeric", |d, n| {
        let extremes = ["NaN", "Infinity", "-Infinity", "0", "-0.00012300"];
        ext::opaque_texts(d, n, "numeric", &extremes, |random| {
            format!("-{}.{:09}0", random.u128(1..), random.u32(..1 << 29))
        })
    }),
    ("arrow.opaque point", ext::opaque_points),
    ("CloudQuery uuid", ext::cloudquery_uuids),
    ("CloudQuery inet", ext::cloudquery_addresses),
    ("CloudQuery mac", ext::cloudquery_macs),
    ("CloudQuery json", ext::cloudquery_json),
    ("geoarrow.wkb", |d, n| {
        lay::binaries(d, n, &DataType::LargeBinary).extended("geoarrow.wkb", "{}")
    }),
    ("geoarrow.wkt", |d, n| {
        lay::strings(d, n, &DataType::Utf8View).extended("geoarrow.wkt", "{}")
    }),
    ("arrow.opaque of another system", |d, n| {
        let parameters = "{\"type_name\":\"inet\",\"vendor_name\":\"another\"}";
        lay::strings(d, n, &DataType::LargeUtf8).extended("arrow.opaque", parameters)
    }),
    ("an unknown extension", |d, n| {
        num::integers::<UInt16Type>(d, n).extended("example.meters", "m")
    }),
    // Not as a value of a dictionary or of runs: keep it last.
    ("null", lay::nothing),
];

/// What only its own type has a place for.
const LATE: &[(&str, Make)] = &[
    ("timestamp s after 294247", |d, n| {
        time::late_instants::<TimestampSecondType>(d, n, SECOND)
    }),
    ("timestamp ms after 294247", |d, n| {
        time::late_instants::<TimestampMillisecondType>(d, n, MILLI)
    }),
    ("duration s over 292 years", |d, n| {
        time::durations::<DurationSecondType>(d, n, SECOND, true)
    }),
    ("duration ms over 292 years", |d, n| {
        time::durations::<DurationMillisecondType>(d, n, MILLI, true)
    }),
    ("duration us over 292 years", |d, n| {
        time::durations::<DurationMicrosecondType>(d, n, MICRO, true)
    }),
];

/// Elements of tensors.
const TENSORS: &[Make] = &[num::integers::<Int32Type>, num::doubles, time::days];

/// Widths of keys and of the ends of runs.
const KEYS: usize = 8;
const ENDS: usize = 3;
/// Distinct values of a dictionary: as many as its narrowest keys name.
const VALUES: usize = 100;

impl Kind {
    /// Everything once, and every wrapper around something of each sort.
    pub(crate) fn all() -> Vec<Self> {
        let valued = FLAT.len() - 1;
        let flat = (0..FLAT.len()).map(Self::Flat);
        let late = (0..LATE.len()).map(Self::Late);
        let tensors = (0..TENSORS.len()).map(Self::Tensor).chain([Self::VariableTensor]);
        // Each kind is in a dictionary, in runs and in a list; layouts, keys and ends take turns.
        let dictionaries = (0..valued).map(|of| Self::Dictionary(of % KEYS, of));
        let runs = (0..valued).map(|of| Self::Runs(of % ENDS, of));
        let lists = (0..FLAT.len()).map(|of| Self::List(Layout::ALL[of % Layout::ALL.len()], Box::new(Self::Flat(of))));
        let wrapped = (0..Layout::ALL.len()).map(|n| {
            let inner = if n % 2 == 0 {
                Self::Dictionary(n, 5 * n)
            } else {
                Self::Runs(n % ENDS, 7 * n)
            };
            Self::List(Layout::ALL[n], Box::new(inner))
        });
        let documents = (0..32).map(|seed| Self::Document(Box::new(Shape::of(seed))));
        flat.chain(late)
            .chain(tensors)
            .chain(dictionaries)
            .chain(runs)
            .chain(lists)
            .chain(wrapped)
            .chain(documents)
            .collect()
    }

    pub(crate) fn any(random: &mut Rng) -> Self {
        let valued = FLAT.len() - 1;
        match random.u8(..16) {
            0..=5 => Self::Flat(random.usize(..FLAT.len())),
            6 => Self::Late(random.usize(..LATE.len())),
            7 => Self::Tensor(random.usize(..TENSORS.len())),
            8 => Self::VariableTensor,
            9 | 10 => Self::List(
                random.choice(Layout::ALL).unwrap_or(Layout::List),
                Box::new(Self::element(random)),
            ),
            11 => Self::Dictionary(random.usize(..KEYS), random.usize(..valued)),
            12 => Self::Runs(random.usize(..ENDS), random.usize(..valued)),
            _ => Self::Document(Box::new(Shape::of(random.u64(..)))),
        }
    }

    fn element(random: &mut Rng) -> Self {
        let valued = FLAT.len() - 1;
        match random.u8(..4) {
            0 => Self::Dictionary(random.usize(..KEYS), random.usize(..valued)),
            1 => Self::Runs(random.usize(..ENDS), random.usize(..valued)),
            _ => Self::Flat(random.usize(..FLAT.len())),
        }
    }

    pub(crate) fn make(&self, draw: &mut Draw, rows: usize) -> Column {
        match self {
            Self::Flat(of) => FLAT[*of].1(draw, rows),
            Self::Late(of) => LATE[*of].1(draw, rows),
            Self::Dictionary(keys, of) => {
                let values = FLAT[*of].1(draw, VALUES);
                let make = [
                    lay::dictionary::<Int8Type>,
                    lay::dictionary::<Int16Type>,
                    lay::dictionary::<Int32Type>,
                    lay::dictionary::<Int64Type>,
                    lay::dictionary::<UInt8Type>,
                    lay::dictionary::<UInt16Type>,
                    lay::dictionary::<UInt32Type>,
                    lay::dictionary::<UInt64Type>,
                ][*keys];
                make(draw, rows, values)
            }
            Self::Runs(ends, of) => {
                let values = FLAT[*of].1(draw, rows);
                let make = [lay::runs::<Int16Type>, lay::runs::<Int32Type>, lay::runs::<Int64Type>][*ends];
                make(draw, rows, &values)
            }
            Self::List(layout, inner) => lists::lists(draw, rows, *layout, |draw, rows| inner.make(draw, rows)),
            Self::Tensor(of) => lists::tensors(draw, rows, TENSORS[*of]),
            Self::VariableTensor => lists::variable_tensors(draw, rows, num::integers::<Int64Type>),
            Self::Document(shape) => shape.make(draw, rows),
        }
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Flat(of) => FLAT[*of].0.to_owned(),
            Self::Late(of) => LATE[*of].0.to_owned(),
            Self::Dictionary(keys, of) => format!("{} behind keys {keys}", FLAT[*of].0),
            Self::Runs(ends, of) => format!("{} in runs {ends}", FLAT[*of].0),
            Self::List(layout, inner) => format!("{layout:?} of {}", inner.name()),
            Self::Tensor(_) | Self::VariableTensor | Self::Document(_) => format!("{self:?}"),
        }
    }
}

/// `n` columns as a schema, named `c0`, `c1`, ...
pub(crate) fn schema(columns: &[Column]) -> SchemaRef {
    let fields = columns
        .iter()
        .enumerate()
        .map(|(at, column)| column.named(&format!("c{at}")));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}
