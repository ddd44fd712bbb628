//! Random nested types and values of them, and the JSON that each value is; written here, not by the encoder.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::*;
use fastrand::Rng;

use super::text;

/// A type and how values of it are made.
#[derive(Debug)]
pub(super) enum Shape {
    Integers,
    Texts,
    Flags,
    Decimals,
    Dictionary,
    Runs,
    Struct(Vec<Shape>),
    List(Box<Shape>),
    LargeList(Box<Shape>),
    View(Box<Shape>),
    Fixed(i32, Box<Shape>),
    Map(Box<Shape>),
    Union(UnionMode, Box<Shape>, Box<Shape>),
}

/// An array and the JSON of its values; nothing for NULL.
pub(super) struct Documents {
    pub(super) array: ArrayRef,
    pub(super) texts: Vec<Option<String>>,
}

impl Shape {
    /// The type of a seed: a struct of anything, which becomes `jsonb`.
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let members = random.usize(1..=2);
        Self::Struct((0..members).map(|_| Self::any(&mut random, 3)).collect())
    }

    fn any(random: &mut Rng, depth: usize) -> Self {
        let kind = if depth == 0 { random.u8(7..13) } else { random.u8(..13) };
        let inner = |random: &mut Rng| Box::new(Self::any(random, depth - 1));
        match kind {
            0 => Self::Struct((0..random.usize(1..=3)).map(|_| Self::any(random, depth - 1)).collect()),
            1 => Self::List(inner(random)),
            2 => Self::LargeList(inner(random)),
            3 => Self::View(inner(random)),
            4 => Self::Fixed(random.i32(0..3), inner(random)),
            5 => Self::Map(inner(random)),
            6 => {
                let mode = if random.bool() {
                    UnionMode::Dense
                } else {
                    UnionMode::Sparse
                };
                Self::Union(mode, inner(random), inner(random))
            }
            7 => Self::Integers,
            8 => Self::Texts,
            9 => Self::Flags,
            10 => Self::Decimals,
            11 => Self::Dictionary,
            _ => Self::Runs,
        }
    }

    /// `rows` values, a fifth of them NULL.
    pub(super) fn make(&self, random: &mut Rng, rows: usize) -> Documents {
        match self {
            Self::Struct(members) => structs(members, random, rows),
            Self::List(inner) | Self::LargeList(inner) | Self::View(inner) | Self::Fixed(_, inner) => {
                self.lists(inner, random, rows)
            }
            Self::Map(values) => maps(values, random, rows),
            Self::Union(mode, one, other) => unions(*mode, [one, other], random, rows),
            leaf => leaf.leaves(random, rows),
        }
    }

    fn leaves(&self, random: &mut Rng, rows: usize) -> Documents {
        let valid: Vec<bool> = (0..rows).map(|_| random.u8(..) > 50).collect();
        let numbers: Vec<Option<i64>> = valid.iter().map(|valid| valid.then(|| random.i64(..) >> 20)).collect();
        let words: Vec<Option<String>> = valid.iter().map(|valid| valid.then(|| text(random))).collect();
        let shown = |number: &i64| number.to_string();
        let (array, texts): (ArrayRef, Vec<Option<String>>) = match self {
            Self::Texts | Self::Dictionary => {
                let texts = words.iter().map(|word| word.as_deref().map(quoted)).collect();
                let array: ArrayRef = match self {
                    Self::Texts => Arc::new(StringViewArray::from_iter(words)),
                    _ => Arc::new(DictionaryArray::<Int16Type>::from_iter(
                        words.iter().map(Option::as_deref),
                    )),
                };
                (array, texts)
            }
            Self::Flags => (
                Arc::new(BooleanArray::from_iter(numbers.iter().map(|n| n.map(|n| n % 2 == 0)))),
                numbers.iter().map(|n| n.map(|n| (n % 2 == 0).to_string())).collect(),
            ),
            Self::Decimals => {
                let decimals = Decimal128Array::from_iter(numbers.iter().map(|n| n.map(i128::from)));
                let show = |n: &i64| {
                    let sign = if *n < 0 { "-" } else { "" };
                    format!("{sign}{}.{:03}", n.unsigned_abs() / 1_000, n.unsigned_abs() % 1_000)
                };
                (
                    Arc::new(decimals.with_data_type(DataType::Decimal128(20, 3))),
                    numbers.iter().map(|n| n.as_ref().map(show)).collect(),
                )
            }
            Self::Runs => {
                // Runs of two rows, the last of one where their number is odd.
                let ends: Int32Array = (0..rows.div_ceil(2))
                    .map(|run| Some((2 * run + 2).min(rows) as i32))
                    .collect();
                let values = Int64Array::from_iter(numbers.iter().step_by(2).copied());
                let runs = RunArray::<Int32Type>::try_new(&ends, &values).expect("ascending ends");
                let texts = (0..rows).map(|row| numbers[row / 2 * 2].as_ref().map(shown)).collect();
                (Arc::new(runs), texts)
            }
            _ => (
                Arc::new(Int64Array::from_iter(numbers.iter().copied())),
                numbers.iter().map(|n| n.as_ref().map(shown)).collect(),
            ),
        };
        Documents { array, texts }
    }

    fn lists(&self, inner: &Shape, random: &mut Rng, rows: usize) -> Documents {
        let nulls = nulls(random, rows);
        let size = |random: &mut Rng| match self {
            Self::Fixed(size, _) => *size as usize,
            _ => random.usize(..4),
        };
        let sizes: Vec<usize> = (0..rows).map(|_| size(random)).collect();
        let total: usize = sizes.iter().sum();
        let elements = inner.make(random, total);
        let mut starts: Vec<usize> = sizes
            .iter()
            .scan(0, |end, size| Some(std::mem::replace(end, *end + size)))
            .collect();
        if let Self::View(_) = self {
            // Views may lie anywhere, also over each other.
            starts = sizes.iter().map(|size| random.usize(..=total - size)).collect();
        }
        let texts = (0..rows).map(|row| {
            let own = starts[row]..starts[row] + sizes[row];
            nulls
                .is_valid(row)
                .then(|| format!("[{}]", joined(&elements.texts[own])))
        });
        let texts = texts.collect();
        let item = Arc::new(Field::new_list_field(elements.array.data_type().clone(), true));
        let array: ArrayRef = match self {
            Self::Fixed(size, _) => Arc::new(
                FixedSizeListArray::try_new_with_length(item, *size, elements.array, Some(nulls), rows)
                    .expect("a valid array"),
            ),
            Self::View(_) => {
                let offsets = starts.iter().map(|start| *start as i32).collect();
                let sizes = sizes.iter().map(|size| *size as i32).collect();
                Arc::new(ListViewArray::new(item, offsets, sizes, elements.array, Some(nulls)))
            }
            Self::LargeList(_) => Arc::new(LargeListArray::new(
                item,
                OffsetBuffer::from_lengths(sizes),
                elements.array,
                Some(nulls),
            )),
            _ => Arc::new(ListArray::new(
                item,
                OffsetBuffer::from_lengths(sizes),
                elements.array,
                Some(nulls),
            )),
        };
        Documents { array, texts }
    }
}

fn nulls(random: &mut Rng, rows: usize) -> NullBuffer {
    (0..rows).map(|_| random.u8(..) > 50).collect::<Vec<bool>>().into()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

fn joined(texts: &[Option<String>]) -> String {
    let shown: Vec<&str> = texts.iter().map(|text| text.as_deref().unwrap_or("null")).collect();
    shown.join(",")
}

fn structs(members: &[Shape], random: &mut Rng, rows: usize) -> Documents {
    let nulls = nulls(random, rows);
    let columns: Vec<Documents> = members.iter().map(|member| member.make(random, rows)).collect();
    let texts = (0..rows).map(|row| {
        let member =
            |(at, column): (usize, &Documents)| format!("\"f{at}\":{}", column.texts[row].as_deref().unwrap_or("null"));
        let members: Vec<String> = columns.iter().enumerate().map(member).collect();
        nulls.is_valid(row).then(|| format!("{{{}}}", members.join(",")))
    });
    let texts = texts.collect();
    let fields = columns.iter().enumerate();
    let fields: Fields = fields
        .map(|(at, column)| Field::new(format!("f{at}"), column.array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|column| column.array).collect();
    Documents {
        array: Arc::new(StructArray::try_new_with_length(fields, arrays, Some(nulls), rows).expect("one length")),
        texts,
    }
}

fn maps(values: &Shape, random: &mut Rng, rows: usize) -> Documents {
    let nulls = nulls(random, rows);
    let sizes: Vec<usize> = (0..rows).map(|_| random.usize(..4)).collect();
    let places = sizes.iter().flat_map(|size| 0..*size);
    let keys: Vec<String> = places.map(|at| format!("{at} \"{}", random.alphanumeric())).collect();
    let values = values.make(random, keys.len());
    let mut start = 0;
    let mut texts = Vec::new();
    for (row, size) in sizes.iter().enumerate() {
        let entry = |at: usize| {
            format!(
                "{}:{}",
                quoted(&keys[at]),
                values.texts[at].as_deref().unwrap_or("null")
            )
        };
        let entries: Vec<String> = (start..start + size).map(entry).collect();
        texts.push(nulls.is_valid(row).then(|| format!("{{{}}}", entries.join(","))));
        start += size;
    }
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", values.array.data_type().clone(), true),
    ]);
    let keys: ArrayRef = Arc::new(StringArray::from(keys));
    let entries = StructArray::new(fields.clone(), vec![keys, values.array], None);
    let entry = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    Documents {
        array: Arc::new(MapArray::new(
            entry,
            OffsetBuffer::from_lengths(sizes),
            entries,
            Some(nulls),
            false,
        )),
        texts,
    }
}

fn unions(mode: UnionMode, members: [&Shape; 2], random: &mut Rng, rows: usize) -> Documents {
    let chosen: Vec<usize> = (0..rows).map(|_| random.usize(..2)).collect();
    let count = |member: usize| match mode {
        UnionMode::Dense => chosen.iter().filter(|chosen| **chosen == member).count(),
        UnionMode::Sparse => rows,
    };
    let children = [0, 1].map(|member| members[member].make(random, count(member)));
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
        .map(|((id, name), child)| (id, Arc::new(Field::new(name, child.array.data_type().clone(), true))));
    let fields: UnionFields = fields.collect();
    let ids: ScalarBuffer<i8> = chosen.iter().map(|member| [5, 2][*member]).collect();
    let offsets: ScalarBuffer<i32> = places.iter().map(|place| *place as i32).collect();
    let offsets = (mode == UnionMode::Dense).then_some(offsets);
    let children = children.map(|child| child.array).to_vec();
    Documents {
        array: Arc::new(UnionArray::try_new(fields, ids, offsets, children).expect("a valid union")),
        texts,
    }
}
