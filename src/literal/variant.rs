//! Parquet's variant encoding: a dictionary of field names (`metadata`) and a value that tells its own type.
//!
//! The format is VariantEncoding.md of the Parquet format, version 1; integers are little-endian, decimals unscaled. One
//! level is decoded at a time, so that the caller bounds depth and work: members of an object may lie over each other,
//! and a reader that follows them without count takes time exponential in the depth. Nothing here allocates by a number
//! that the input claims before the bytes for it were seen.

use arrow::datatypes::TimeUnit;

/// What is wrong with the bytes.
pub(crate) type Malformed = &'static str;

const CUT: Malformed = "it ends too early";

/// The field names of an object's ids.
pub(crate) struct Names<'a> {
    width: usize,
    offsets: &'a [u8],
    texts: &'a [u8],
}

/// A value whose members and elements are still encoded.
#[derive(Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    Decimal {
        unscaled: i128,
        scale: u8,
    },
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Counts since 1970-01-01, of UTC where `zoned`.
    Timestamp {
        count: i64,
        unit: TimeUnit,
        zoned: bool,
    },
    Binary(&'a [u8]),
    Text(&'a str),
    Uuid(&'a [u8]),
    /// Members in ascending order of their names.
    Object(Vec<(&'a str, &'a [u8])>),
    Array(Vec<&'a [u8]>),
}

/// Reads what a fixed part of the input says.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// An unsigned integer of 1 to 4 bytes.
    fn uint(&mut self, width: usize) -> Result<usize, Malformed> {
        Ok(uint(self.take(width)?))
    }

    /// `count` integers of `width` bytes each.
    fn table(&mut self, count: usize, width: usize) -> Result<&'a [u8], Malformed> {
        self.take(count.checked_mul(width).ok_or(CUT)?)
    }
}

fn uint(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// Entry `at` of a table of integers of `width` bytes.
fn entry(table: &[u8], at: usize, width: usize) -> Option<usize> {
    let start = at.checked_mul(width)?;
    table.get(start..start.checked_add(width)?).map(uint)
}

impl<'a> Names<'a> {
    /// Reads the metadata of a row.
    pub(crate) fn read(metadata: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(metadata);
        let header = reader.uint(1)?;
        if header & 0x0f != 1 {
            return Err("its metadata is not of version 1");
        }
        let width = (header >> 6) + 1;
        let count = reader.uint(width)?;
        let offsets = reader.table(count + 1, width)?;
        Ok(Self {
            width,
            offsets,
            texts: reader.0,
        })
    }

    /// A name of at most `room` bytes.
    fn get(&self, id: usize, room: usize) -> Result<&'a str, Malformed> {
        let place = |at| entry(self.offsets, at, self.width);
        let text = place(id)
            .zip(place(id + 1))
            .and_then(|(start, end)| self.texts.get(start..end));
        let text = text.ok_or("a field's name is not in its metadata")?;
        if text.len() > room {
            return Err("names in its metadata lie over each other");
        }
        std::str::from_utf8(text).map_err(|_| "a field's name is not UTF-8")
    }
}

impl<'a> Value<'a> {
    /// Reads one value, and how many bytes it takes by itself: all of a scalar, the tables of an object or array.
    pub(crate) fn read(names: &Names<'a>, value: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let mut reader = Reader(value);
        let header = reader.uint(1)?;
        let (kind, header) = (header & 3, header >> 2);
        let found = match kind {
            0 => primitive(header, &mut reader)?,
            1 => Self::Text(utf8(reader.take(header)?)?),
            2 => object(names, header, &mut reader)?,
            _ => array(header, &mut reader)?,
        };
        Ok((found, value.len() - reader.0.len()))
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| "a text in it is not UTF-8")
}

fn primitive<'a>(kind: usize, reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    use TimeUnit::{Microsecond, Nanosecond};
    let timestamp = |count: [u8; 8], unit, zoned| Value::Timestamp {
        count: i64::from_le_bytes(count),
        unit,
        zoned,
    };
    Ok(match kind {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => Value::Bool(false),
        3 => Value::Int(i8::from_le_bytes(reader.array()?).into()),
        4 => Value::Int(i16::from_le_bytes(reader.array()?).into()),
        5 => Value::Int(i32::from_le_bytes(reader.array()?).into()),
        6 => Value::Int(i64::from_le_bytes(reader.array()?)),
        7 => Value::Double(f64::from_le_bytes(reader.array()?)),
        8..=10 => decimal(kind, reader)?,
        11 => Value::Date(i32::from_le_bytes(reader.array()?)),
        12 => timestamp(reader.array()?, Microsecond, true),
        13 => timestamp(reader.array()?, Microsecond, false),
        14 => Value::Float(f32::from_le_bytes(reader.array()?)),
        15 => Value::Binary(sized(reader)?),
        16 => Value::Text(utf8(sized(reader)?)?),
        17 => match i64::from_le_bytes(reader.array()?) {
            micros @ 0..86_400_000_000 => Value::Time(micros),
            _ => return Err("a time in it is outside the day"),
        },
        18 => timestamp(reader.array()?, Nanosecond, true),
        19 => timestamp(reader.array()?, Nanosecond, false),
        20 => Value::Uuid(reader.take(16)?),
        _ => return Err("it has a type that version 1 does not know"),
    })
}

fn sized<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let length = reader.uint(4)?;
    reader.take(length)
}

fn decimal<'a>(kind: usize, reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    let [scale] = reader.array()?;
    let unscaled = match kind {
        8 => i32::from_le_bytes(reader.array()?).into(),
        9 => i64::from_le_bytes(reader.array()?).into(),
        _ => i128::from_le_bytes(reader.array()?),
    };
    if scale > 38 {
        return Err("a decimal in it has a scale over 38");
    }
    Ok(Value::Decimal { unscaled, scale })
}

/// One byte where `large` is not set, as the format has it for numbers of members and elements.
fn count_width(large: usize) -> usize {
    if large & 1 == 1 { 4 } else { 1 }
}

fn object<'a>(names: &Names<'a>, header: usize, reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    let (offset_width, id_width) = ((header & 3) + 1, (header >> 2 & 3) + 1);
    let count = reader.uint(count_width(header >> 4))?;
    let ids = reader.table(count, id_width)?;
    let offsets = reader.table(count + 1, offset_width)?;
    let mut members: Vec<(&str, &[u8])> = Vec::with_capacity(count);
    // Names that are all different and lie side by side are no longer than what they lie in.
    let mut room = names.texts.len();
    for (at, id) in ids.chunks_exact(id_width).enumerate() {
        let name = names.get(uint(id), room)?;
        room -= name.len();
        if members.last().is_some_and(|(last, _)| *last >= name) {
            return Err("an object in it has names that are not in order, or one twice");
        }
        // Members lie in any order, so an offset is where one starts and not where the one before ends.
        let start = entry(offsets, at, offset_width).ok_or(CUT)?;
        members.push((name, reader.0.get(start..).ok_or(CUT)?));
    }
    Ok(Value::Object(members))
}

fn array<'a>(header: usize, reader: &mut Reader<'a>) -> Result<Value<'a>, Malformed> {
    let width = (header & 3) + 1;
    let count = reader.uint(count_width(header >> 2))?;
    let offsets = reader.table(count + 1, width)?;
    let places: Vec<usize> = offsets.chunks_exact(width).map(uint).collect();
    let elements = places.windows(2).map(|ends| reader.0.get(ends[0]..ends[1]).ok_or(CUT));
    Ok(Value::Array(elements.collect::<Result<_, _>>()?))
}
