//! Text and bytes in every layout, and any values behind dictionaries and in runs.

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::*;
use fastrand::Rng;

use super::column::{Column, Draw};

/// What Postgres prints otherwise than it is, and what lies at the sizes of Arrow's views and Postgres' words.
fn awkward_texts() -> Vec<String> {
    let texts = [
        "",
        "NULL",
        "\\N",
        "{\"a\",b\\}",
        "a\tb\r\n",
        "it''s \"q\"",
        "\u{1}",
        "grüß €𝄞",
        "twelve bytes",
        "thirteen bytes",
    ];
    texts
        .map(str::to_owned)
        .into_iter()
        .chain(["x".repeat(126), "𝄞".repeat(700)])
        .collect()
}

pub(super) fn text(random: &mut Rng) -> String {
    let length = random.usize(..20);
    (0..length)
        .map(|_| {
            if random.bool() {
                random.alphanumeric()
            } else {
                random.char('\u{1}'..='\u{2fff}')
            }
        })
        .collect()
}

pub(super) fn texts(draw: &mut Draw, rows: usize) -> Vec<Option<String>> {
    draw.values(rows, &awkward_texts(), text)
}

pub(super) fn strings(draw: &mut Draw, rows: usize, layout: &DataType) -> Column {
    let texts = texts(draw, rows);
    let array = cast(&StringArray::from(texts.clone()), layout).expect("text has every layout");
    Column::new(array, texts)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn binaries(draw: &mut Draw, rows: usize, layout: &DataType) -> Column {
    let extremes = [vec![], vec![0], vec![0xff; 12], vec![0x5c; 13], vec![0; 2_100]];
    let values = draw.values(rows, &extremes, |random| {
        (0..random.usize(..20)).map(|_| random.u8(..)).collect()
    });
    let array = cast(&BinaryArray::from_iter(values.iter().map(Option::as_ref)), layout);
    Column::texts_of(array.expect("bytes have every layout"), &values, |bytes| {
        format!("\\x{}", hex(bytes))
    })
}

/// Values of `N` bytes.
pub(super) fn fixed<const N: usize>(draw: &mut Draw, rows: usize) -> (FixedSizeBinaryArray, Vec<Option<[u8; N]>>) {
    let values = draw.values(rows, &[[0; N], [0xff; N]], |random| [(); N].map(|()| random.u8(..)));
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.iter().copied(), N as i32);
    (array.expect("values of one size"), values)
}

pub(super) fn fixed_binaries<const N: usize>(draw: &mut Draw, rows: usize) -> Column {
    let (array, values) = fixed::<N>(draw, rows);
    Column::texts_of(Arc::new(array), &values, |bytes| format!("\\x{}", hex(bytes)))
}

/// NULL and nothing else.
pub(super) fn nothing(_: &mut Draw, rows: usize) -> Column {
    let texts = Field::new("c", DataType::Utf8, true);
    Column::new(Arc::new(NullArray::new(rows)), vec![None; rows]).asked_as(texts, new_null_array(&DataType::Utf8, rows))
}

/// Rows that name values of a dictionary: values that no row names and values that are NULL are there as well.
pub(super) fn dictionary<K: ArrowDictionaryKeyType>(draw: &mut Draw, rows: usize, values: Column) -> Column
where
    K::Native: TryFrom<usize>,
{
    let count = values.array.len();
    let places: Vec<Option<usize>> = (0..rows)
        .map(|_| draw.valid().then(|| draw.random.usize(..count)))
        .collect();
    let key = |place: usize| K::Native::try_from(place).unwrap_or_default();
    let keys: PrimitiveArray<K> = places.iter().map(|place| place.map(key)).collect();
    let array = DictionaryArray::<K>::try_new(keys, values.array.clone()).expect("keys are places");
    values.behind(Arc::new(array), &places)
}

/// Runs of up to four rows; `values` has one for each row and the first ones are taken.
pub(super) fn runs<R: RunEndIndexType>(draw: &mut Draw, rows: usize, values: &Column) -> Column
where
    R::Native: TryFrom<usize>,
{
    let mut places = Vec::new();
    let mut ends = Vec::new();
    while places.len() < rows {
        let end = (places.len() + draw.random.usize(1..=4)).min(rows);
        places.resize(end, Some(ends.len()));
        ends.push(R::Native::try_from(end).unwrap_or_default());
    }
    let values = values.slice(0, ends.len());
    let ends: PrimitiveArray<R> = ends.into_iter().map(Some).collect();
    let array = RunArray::<R>::try_new(&ends, &values.array).expect("ascending ends");
    values.behind(Arc::new(array), &places)
}
