//! pgvector: `vector` and `halfvec` are `i16` dimensions, `i16` 0 and the elements (`f32`, `f16`); `sparsevec` is `i32`
//! dimensions, `i32` count, `i32` 0, the positions of the elements that are not 0 (from 0) and the elements as `f32`.
//!
//! Taken from float lists of any layout. An element must keep its value in the element type, be finite and not NULL;
//! a declared number of dimensions must be met.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use half::f16;

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::lists::{Lists, element_field};
use crate::codec::encode::source::Source;
use crate::literal::float;
use crate::model::pg_type::PgType;

/// Most dimensions of the dense types, and most elements of the sparse one.
const MAX_DIMENSIONS: usize = 16_000;
const MAX_SPARSE_DIMENSIONS: usize = 1_000_000_000;

#[derive(Clone, Copy)]
enum Kind {
    Single,
    Half,
    Sparse,
}

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    let (kind, dimensions) = match target {
        PgType::Vector(dimensions, _) => (Kind::Single, *dimensions),
        PgType::HalfVec(dimensions, _) => (Kind::Half, *dimensions),
        PgType::SparseVec(dimensions, _) => (Kind::Sparse, *dimensions),
        _ => return Err(Refused::NoRule),
    };
    if source.is_text() {
        let dimensions = dimensions.map(|dimensions| dimensions as usize);
        return from_text(move |text, out| read(text, kind, dimensions, out));
    }
    let Some(element) = element_field(source.data_type) else {
        return Err(Refused::NoRule);
    };
    if !matches!(
        element.data_type(),
        DataType::Float16 | DataType::Float32 | DataType::Float64
    ) {
        return Err(Refused::NoRule);
    }
    let dimensions = dimensions.map(|dimensions| dimensions as usize);
    if let (DataType::FixedSizeList(_, size), Some(expected)) = (source.data_type, dimensions)
        && *size as usize != expected
    {
        return Err(Refused::Because(format!(
            "lists of {size} elements are no vectors of {expected} dimensions"
        )));
    }
    Ok(Box::new(move |array| {
        let lists = Lists::of(array)?;
        let wide =
            cast(&lists.elements, &DataType::Float64).map_err(|_| WrongArray::Type(array.data_type().clone()))?;
        let wide = wide.as_primitive::<Float64Type>().clone();
        Ok(rendered(lists.nulls.clone().as_ref(), move |row, out| {
            let list = lists.starts[row]..lists.starts[row + 1];
            if wide
                .nulls()
                .is_some_and(|nulls| list.clone().any(|element| nulls.is_null(element)))
            {
                return Err(CellReason::NullInside("an element is NULL, which a vector cannot hold"));
            }
            let values = &wide.values()[list];
            check(values, kind, dimensions)?;
            put(values, kind, out)
        }))
    }))
}

fn check(values: &[f64], kind: Kind, dimensions: Option<usize>) -> Result<(), CellReason> {
    check_length(values.len(), kind, dimensions)?;
    if values.iter().any(|value| !value.is_finite()) {
        Err(CellReason::NotFinite)
    } else {
        Ok(())
    }
}

fn check_length(found: usize, kind: Kind, dimensions: Option<usize>) -> Result<(), CellReason> {
    if let Some(expected) = dimensions.filter(|expected| *expected != found) {
        return Err(CellReason::WrongLength {
            found,
            expected,
            unit: "elements",
        });
    }
    let limit = if matches!(kind, Kind::Sparse) {
        MAX_SPARSE_DIMENSIONS
    } else {
        MAX_DIMENSIONS
    };
    if found > limit {
        return Err(CellReason::TooLong {
            found,
            limit,
            unit: "elements",
        });
    }
    if found == 0 {
        return Err(CellReason::NotA("a vector: it has no elements"));
    }
    Ok(())
}

fn put(values: &[f64], kind: Kind, out: &mut Vec<u8>) -> Result<(), CellReason> {
    match kind {
        Kind::Single | Kind::Half => {
            out.extend_from_slice(&(values.len() as u16).to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            for value in values {
                if matches!(kind, Kind::Single) {
                    out.extend_from_slice(&single(*value)?.to_be_bytes());
                } else {
                    out.extend_from_slice(&half(*value)?.to_be_bytes());
                }
            }
        }
        Kind::Sparse => {
            return put_sparse(values.len(), values.iter().copied().enumerate().collect(), out);
        }
    }
    Ok(())
}

/// The elements that are not 0, of so many dimensions in all.
fn put_sparse(dimensions: usize, elements: Vec<(usize, f64)>, out: &mut Vec<u8>) -> Result<(), CellReason> {
    let kept: Vec<(usize, f64)> = elements.into_iter().filter(|(_, value)| *value != 0.0).collect();
    if kept.iter().any(|(_, value)| !value.is_finite()) {
        return Err(CellReason::NotFinite);
    }
    if kept.len() > MAX_DIMENSIONS {
        return Err(CellReason::TooLong {
            found: kept.len(),
            limit: MAX_DIMENSIONS,
            unit: "elements",
        });
    }
    out.extend_from_slice(&(dimensions as i32).to_be_bytes());
    out.extend_from_slice(&(kept.len() as i32).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    for (position, _) in &kept {
        out.extend_from_slice(&(*position as i32).to_be_bytes());
    }
    for (_, value) in &kept {
        out.extend_from_slice(&single(*value)?.to_be_bytes());
    }
    Ok(())
}

/// A vector as pgvector prints it: `[1,2]`, or `{1:1.5,4:-2}/5` (positions from 1) where it is sparse. A number is read as the
/// nearest one of its type, as in a `real` column.
fn read(text: &str, kind: Kind, dimensions: Option<usize>, out: &mut Vec<u8>) -> Result<(), CellReason> {
    let wrong = || CellReason::NotA("a vector in the form in which pgvector prints it");
    let number = |text: &str| float::<f32>(text).map(f64::from).ok_or_else(wrong);
    let text = text.trim();
    if matches!(kind, Kind::Sparse) {
        let (entries, length) = text.split_once('/').ok_or_else(wrong)?;
        let inner = entries
            .trim()
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .ok_or_else(wrong)?;
        let length: usize = length.trim().parse().map_err(|_| wrong())?;
        let mut entries = Vec::new();
        for entry in inner.split(',').filter(|_| !inner.trim().is_empty()) {
            let (position, value) = entry.split_once(':').ok_or_else(wrong)?;
            let position: usize = position.trim().parse().map_err(|_| wrong())?;
            let position = position
                .checked_sub(1)
                .filter(|position| *position < length)
                .ok_or_else(wrong)?;
            entries.push((position, number(value)?));
        }
        // Its own input function sorts, and takes no position twice.
        entries.sort_by_key(|(position, _)| *position);
        if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(wrong());
        }
        check_length(length, kind, dimensions)?;
        return put_sparse(length, entries, out);
    }
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or_else(wrong)?;
    let values: Result<Vec<f64>, CellReason> = inner.split(',').map(number).collect();
    let values: Vec<f64> = match kind {
        Kind::Half => values?.into_iter().map(|value| f16::from_f64(value).to_f64()).collect(),
        _ => values?,
    };
    check(&values, kind, dimensions)?;
    put(&values, kind, out)
}

fn single(value: f64) -> Result<f32, CellReason> {
    let narrow = value as f32;
    if f64::from(narrow) == value {
        Ok(narrow)
    } else {
        Err(CellReason::Inexact("an element has no exact form in single precision"))
    }
}

fn half(value: f64) -> Result<f16, CellReason> {
    let narrow = f16::from_f64(value);
    if narrow.to_f64() == value {
        Ok(narrow)
    } else {
        Err(CellReason::Inexact("an element has no exact form in half precision"))
    }
}
