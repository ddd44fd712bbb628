//! The built-in geometric types: `float8` coordinates, in `path` and `polygon` after a count of points.
//!
//! Taken from text in the form that Postgres prints: `(x,y)`, `{a,b,c}`, `[(x,y),(x,y)]`, `(x,y),(x,y)`,
//! `<(x,y),r>`, `((x,y),..)` and `[(x,y),..]`; points also from lists or structs of two floats.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::{CellReason, Refused, WrongArray};
use crate::codec::encode::lists::{Lists, child_under, element_field};
use crate::codec::encode::source::Source;
use crate::literal;
use crate::model::pg_type::PgType;

const WRONG: CellReason = CellReason::NotA("the form in which Postgres prints the type");

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    if source.is_text() {
        let target = target.clone();
        return from_text(move |text, out| put(text, &target, out).ok_or(WRONG));
    }
    match (target, source.data_type) {
        (PgType::Point, DataType::Struct(fields))
            if fields.len() == 2 && fields.iter().all(|f| is_float(f.data_type())) =>
        {
            Ok(Box::new(|array| {
                let parent = array
                    .as_struct_opt()
                    .ok_or_else(|| WrongArray::Type(array.data_type().clone()))?;
                let (x, y) = (doubles(&child_under(parent, 0)?)?, doubles(&child_under(parent, 1)?)?);
                Ok(rendered(array.nulls(), move |row, out| {
                    coordinate(x(row), out)?;
                    coordinate(y(row), out)
                }))
            }))
        }
        (PgType::Point, ty) if element_field(ty).is_some_and(|element| is_float(element.data_type())) => {
            Ok(Box::new(|array| {
                let lists = Lists::of(array)?;
                let values = doubles(&lists.elements)?;
                Ok(rendered(lists.nulls.clone().as_ref(), move |row, out| {
                    let list = lists.starts[row]..lists.starts[row + 1];
                    if list.len() != 2 {
                        return Err(CellReason::WrongLength {
                            found: list.len(),
                            expected: 2,
                            unit: "elements",
                        });
                    }
                    list.clone().try_for_each(|element| coordinate(values(element), out))
                }))
            }))
        }
        _ => Err(Refused::NoRule),
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

fn doubles(array: &ArrayRef) -> Result<impl Fn(usize) -> Option<f64> + Send + Sync + use<>, WrongArray> {
    let wide = cast(array, &DataType::Float64).map_err(|_| WrongArray::Type(array.data_type().clone()))?;
    let values = wide.as_primitive::<Float64Type>().clone();
    Ok(move |row: usize| values.is_valid(row).then(|| values.value(row)))
}

fn coordinate(value: Option<f64>, out: &mut Vec<u8>) -> Result<(), CellReason> {
    let value = value.ok_or(CellReason::NullInside(
        "a coordinate is NULL, which a point cannot hold",
    ))?;
    out.extend_from_slice(&value.to_be_bytes());
    Ok(())
}

/// What stands around numbers.
const MARKS: [char; 9] = ['(', ')', '[', ']', '{', '}', '<', '>', ','];

/// Appends the payload of `text`, whose punctuation must be exactly that of the type. Blanks may stand around numbers and
/// marks, as in Postgres, and not inside a number.
fn put(text: &str, target: &PgType, out: &mut Vec<u8>) -> Option<()> {
    let mut numbers = Vec::new();
    let mut punctuation = String::new();
    for part in text.split_inclusive(MARKS) {
        let number = part.trim_end_matches(MARKS).trim_ascii();
        if !number.is_empty() {
            punctuation.push('n');
            numbers.push(literal::float::<f64>(number)?);
        }
        punctuation.extend(part.chars().next_back().filter(|last| MARKS.contains(last)));
    }
    let points = numbers.len() / 2;
    let list = vec!["(n,n)"; points].join(",");
    let (expected, head) = match target {
        PgType::Point => ("(n,n)".to_owned(), Vec::new()),
        PgType::Line => ("{n,n,n}".to_owned(), Vec::new()),
        PgType::Lseg => ("[(n,n),(n,n)]".to_owned(), Vec::new()),
        PgType::Box => ("(n,n),(n,n)".to_owned(), Vec::new()),
        PgType::Circle => ("<(n,n),n>".to_owned(), Vec::new()),
        PgType::Path if punctuation.starts_with('[') => (format!("[{list}]"), vec![0]),
        PgType::Path => (format!("({list})"), vec![1]),
        PgType::Polygon => (format!("({list})"), Vec::new()),
        _ => return None,
    };
    if punctuation != expected || points == 0 {
        return None;
    }
    out.extend_from_slice(&head);
    if matches!(target, PgType::Path | PgType::Polygon) {
        out.extend_from_slice(&(points as i32).to_be_bytes());
    }
    if target == &PgType::Box {
        // Postgres keeps the upper right corner first.
        let (x, y) = ([numbers[0], numbers[2]], [numbers[1], numbers[3]]);
        numbers = vec![x[0].max(x[1]), y[0].max(y[1]), x[0].min(x[1]), y[0].min(y[1])];
    }
    numbers
        .iter()
        .for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
    Some(())
}
