//! Random nested types and values of them, and the JSON that each value is; written here, not by the encoder.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use fastrand::Rng;

use super::column::{Column, Draw};
use super::lists::Layout;
use super::{extensions, layouts, numbers, temporal};

/// A type and how values of it are made.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Integers,
    Texts,
    Flags,
    Decimals,
    Doubles,
    Days,
    Uuids,
    Dictionary,
    Runs,
    Struct(Vec<Shape>),
    List(Layout, Box<Shape>),
    Map(Keys, Box<Shape>),
    Union(UnionMode, Box<Shape>, Box<Shape>),
}

/// What the keys of a map are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    Texts,
    Integers,
    Dictionary,
}

impl Keys {
    fn any(random: &mut Rng) -> Self {
        random
            .choice([Self::Texts, Self::Integers, Self::Dictionary])
            .unwrap_or(Self::Texts)
    }

    /// Keys that differ where their places do, and their texts.
    fn make(self, random: &mut Rng, places: impl Iterator<Item = usize>) -> (ArrayRef, Vec<String>) {
        if let Self::Integers = self {
            let keys: Vec<i64> = places.map(|at| random.i64(..) >> 8 << 2 | at as i64).collect();
            let texts = keys.iter().map(i64::to_string).collect();
            return (Arc::new(Int64Array::from(keys)), texts);
        }
        let texts: Vec<String> = places.map(|at| format!("{at} \"{}", random.alphanumeric())).collect();
        let keys: ArrayRef = match self {
            Self::Dictionary => Arc::new(DictionaryArray::<Int16Type>::from_iter(
                texts.iter().map(String::as_str),
            )),
            _ => Arc::new(StringArray::from(texts.clone())),
        };
        (keys, texts)
    }
}

impl Shape {
    /// The type of a seed: a struct, a map, a union or a list of structs of anything, which becomes `jsonb`.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let members = random.usize(1..=2);
        let whole = Self::Struct((0..members).map(|_| Self::any(&mut random, 3)).collect());
        match random.u8(..5) {
            0 => Self::Map(Keys::any(&mut random), Box::new(whole)),
            4 => {
                // Arrays of arrays are no Postgres array.
                let inner = Self::List(Self::layout(&mut random), Box::new(Self::any(&mut random, 1)));
                Self::List(Self::layout(&mut random), Box::new(inner))
            }
            1 => Self::List(Self::layout(&mut random), Box::new(whole)),
            2 => Self::Union(UnionMode::Dense, Box::new(whole), Box::new(Self::any(&mut random, 2))),
            _ => whole,
        }
    }

    fn layout(random: &mut Rng) -> Layout {
        random.choice(Layout::ALL).unwrap_or(Layout::List)
    }

    fn any(random: &mut Rng, depth: usize) -> Self {
        let kind = if depth == 0 { random.u8(5..14) } else { random.u8(..14) };
        let inner = |random: &mut Rng| Box::new(Self::any(random, depth - 1));
        match kind {
            0 => Self::Struct((0..random.usize(1..=3)).map(|_| Self::any(random, depth - 1)).collect()),
            1 | 2 => Self::List(Self::layout(random), inner(random)),
            3 => Self::Map(Keys::any(random), inner(random)),
            4 => {
                let mode = if random.bool() {
                    UnionMode::Dense
                } else {
                    UnionMode::Sparse
                };
                Self::Union(mode, inner(random), inner(random))
            }
            5 => Self::Integers,
            6 => Self::Texts,
            7 => Self::Flags,
            8 => Self::Decimals,
            9 => Self::Dictionary,
            10 => Self::Doubles,
            11 => Self::Days,
            12 => Self::Uuids,
            _ => Self::Runs,
        }
    }

    /// `rows` values.
    pub(super) fn make(&self, draw: &mut Draw, rows: usize) -> Column {
        match self {
            Self::Struct(members) => structs(members, draw, rows),
            Self::List(layout, inner) => lists(*layout, inner, draw, rows),
            Self::Map(keys, values) => maps(*keys, values, draw, rows),
            Self::Union(mode, one, other) => unions(*mode, [one, other], draw, rows),
            leaf => leaf.leaves(draw, rows),
        }
    }

    /// Values with the texts of their JSON.
    fn leaves(&self, draw: &mut Draw, rows: usize) -> Column {
        match self {
            Self::Flags => numbers::booleans(draw, rows),
            Self::Decimals => numbers::decimals::<Decimal128Type>(draw, rows, 20, 3),
            Self::Doubles => {
                let mut column = numbers::doubles(draw, rows);
                for text in column.texts.iter_mut().flatten() {
                    // JSON has no such numbers, and Postgres writes whole ones without a point.
                    *text = match text.as_str() {
                        "NaN" => "\"NaN\"".to_owned(),
                        "inf" => "\"Infinity\"".to_owned(),
                        "-inf" => "\"-Infinity\"".to_owned(),
                        number => number.parse::<f64>().expect("the text of a number").to_string(),
                    };
                }
                column
            }
            Self::Texts => layouts::strings(draw, rows, &DataType::Utf8View).quoted(),
            Self::Days => temporal::days(draw, rows).quoted(),
            Self::Uuids => extensions::uuids(draw, rows).quoted(),
            Self::Dictionary => {
                let values = layouts::strings(draw, 20, &DataType::Utf8).quoted();
                layouts::dictionary::<Int16Type>(draw, rows, values)
            }
            Self::Runs => {
                let values = numbers::integers::<Int64Type>(draw, rows);
                layouts::runs::<Int32Type>(draw, rows, &values)
            }
            _ => numbers::integers::<Int64Type>(draw, rows),
        }
    }
}

impl Column {
    /// The texts as JSON strings.
    fn quoted(mut self) -> Self {
        self.texts.iter_mut().flatten().for_each(|text| *text = quoted(text));
        self
    }
}

fn lists(layout: Layout, inner: &Shape, draw: &mut Draw, rows: usize) -> Column {
    let nulls = draw.validity(rows);
    let (ranges, total) = layout.cut(draw, rows);
    let elements = inner.make(draw, total);
    let texts = ranges
        .iter()
        .zip(&nulls)
        .map(|(range, valid)| valid.then(|| format!("[{}]", joined(&elements.texts[range.clone()]))));
    let texts = texts.collect();
    let item = Arc::new(elements.named("item"));
    Column::new(layout.build(item, elements.array, &ranges, nulls), texts).unasked()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

fn joined(texts: &[Option<String>]) -> String {
    let shown: Vec<&str> = texts.iter().map(|text| text.as_deref().unwrap_or("null")).collect();
    shown.join(",")
}

fn structs(members: &[Shape], draw: &mut Draw, rows: usize) -> Column {
    let nulls = draw.validity(rows);
    let columns: Vec<Column> = members.iter().map(|member| member.make(draw, rows)).collect();
    let texts = (0..rows).map(|row| {
        let member =
            |(at, column): (usize, &Column)| format!("\"f{at}\":{}", column.texts[row].as_deref().unwrap_or("null"));
        let members: Vec<String> = columns.iter().enumerate().map(member).collect();
        nulls.is_valid(row).then(|| format!("{{{}}}", members.join(",")))
    });
    let texts = texts.collect();
    let fields = columns.iter().enumerate();
    let fields: Fields = fields.map(|(at, column)| column.named(&format!("f{at}"))).collect();
    let arrays = columns.into_iter().map(|column| column.array).collect();
    Column::new(
        Arc::new(StructArray::try_new_with_length(fields, arrays, Some(nulls), rows).expect("one length")),
        texts,
    )
    .unasked()
}

fn maps(keys: Keys, values: &Shape, draw: &mut Draw, rows: usize) -> Column {
    let nulls = draw.validity(rows);
    let sizes: Vec<usize> = (0..rows).map(|_| draw.random.usize(..4)).collect();
    let (keys, names) = keys.make(&mut draw.random, sizes.iter().flat_map(|size| 0..*size));
    let values = values.make(draw, keys.len());
    let mut start = 0;
    let mut texts = Vec::new();
    for (row, size) in sizes.iter().enumerate() {
        let entry = |at: usize| {
            format!(
                "{}:{}",
                quoted(&names[at]),
                values.texts[at].as_deref().unwrap_or("null")
            )
        };
        let entries: Vec<String> = (start..start + size).map(entry).collect();
        texts.push(nulls.is_valid(row).then(|| format!("{{{}}}", entries.join(","))));
        start += size;
    }
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        values.named("value"),
    ]);
    let entries = StructArray::new(fields.clone(), vec![keys, values.array], None);
    let entry = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    Column::new(
        Arc::new(MapArray::new(
            entry,
            OffsetBuffer::from_lengths(sizes),
            entries,
            Some(nulls),
            false,
        )),
        texts,
    )
    .unasked()
}

fn unions(mode: UnionMode, members: [&Shape; 2], draw: &mut Draw, rows: usize) -> Column {
    let chosen: Vec<usize> = (0..rows).map(|_| draw.random.usize(..2)).collect();
    let count = |member: usize| match mode {
        UnionMode::Dense => chosen.iter().filter(|chosen| **chosen == member).count(),
        UnionMode::Sparse => rows,
    };
    let children = [0, 1].map(|member| members[member].make(draw, count(member)));
    let mut used = [0; 2];
    let places: Vec<usize> = chosen
        .iter()
        .enumerate()
        .map(|(row, member)| match mode {
            UnionMode::Dense => {
                used[*member] += 1;
                used[*member] - 1
            }
            UnionMode::Sparse => row,
        })
        .collect();
    let texts = chosen
        .iter()
        .zip(&places)
        .map(|(member, place)| children[*member].texts[*place].clone());
    let texts = texts.collect();
    // Type ids need not be the numbers of the children.
    let fields = [(5_i8, "one"), (2, "other")]
        .into_iter()
        .zip(&children)
        .map(|((id, name), child)| (id, Arc::new(child.named(name))));
    let fields: UnionFields = fields.collect();
    let ids: ScalarBuffer<i8> = chosen.iter().map(|member| [5, 2][*member]).collect();
    let offsets: ScalarBuffer<i32> = places.iter().map(|place| *place as i32).collect();
    let offsets = (mode == UnionMode::Dense).then_some(offsets);
    let children = children.map(|child| child.array).to_vec();
    Column::new(
        Arc::new(UnionArray::try_new(fields, ids, offsets, children).expect("a valid union")),
        texts,
    )
    .unasked()
}
