//! The types of `pg_catalog` that hold what the server says of itself: `tid`, `refcursor`, `int2vector`, `oidvector`,
//! `pg_snapshot`, `txid_snapshot` and the `reg` types.
//!
//! Payloads: `tid` is `u32` block and `u16` line; the vectors are arrays whose lower bound is 0; a snapshot is `i32` count,
//! `i64` xmin, `i64` xmax and the transactions between; a `reg` type is an OID. All are taken from the text that Postgres
//! prints but for the `reg` types: what it prints of those is a name, whose meaning depends on the reader's search path.

use super::int;
use crate::codec::encode::EncodeOptions;
use crate::codec::encode::cells::from_text;
use crate::codec::encode::column::Planned;
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::literal;
use crate::model::pg_type::{OtherType, PgType};

pub(in crate::codec::encode) fn plan(source: &Source<'_>, ty: &OtherType, options: &EncodeOptions) -> Planned {
    let system = ty
        .home
        .schema
        .as_ref()
        .is_some_and(|schema| schema.as_str() == "pg_catalog");
    if !system {
        return Err(Refused::NoRule);
    }
    match ty.name.as_str() {
        "refcursor" if source.is_text() => super::text::plan(source, &PgType::Text, options),
        name if name.starts_with("reg") => object(source),
        _ if !source.is_text() => Err(Refused::NoRule),
        "tid" => from_text(|text, out| tid(text, out).ok_or(CellReason::NotA("a row's place in the form (0,1)"))),
        "int2vector" => from_text(|text, out| vector(text, &PgType::Int2, out)),
        "oidvector" => from_text(|text, out| vector(text, &PgType::Oid, out)),
        "pg_snapshot" | "txid_snapshot" => from_text(|text, out| {
            snapshot(text, out).ok_or(CellReason::NotA("a snapshot in the form xmin:xmax:xip,xip"))
        }),
        _ => Err(Refused::NoRule),
    }
}

fn object(source: &Source<'_>) -> Planned {
    if !source.is_text() {
        return int::plan(source, &PgType::Oid);
    }
    from_text(|text, out| match text {
        "-" => int::payload(0, &PgType::Oid, out),
        text => {
            let number = literal::integer(text);
            let number = number.ok_or(CellReason::NotA("an OID (a name depends on the search path)"))?;
            int::payload(number, &PgType::Oid, out)
        }
    })
}

fn tid(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (block, line) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    out.extend_from_slice(&number::<u32>(block)?.to_be_bytes());
    out.extend_from_slice(&number::<u16>(line)?.to_be_bytes());
    Some(())
}

/// Decimal digits without a sign.
fn number<N: TryFrom<u64>>(text: &str) -> Option<N> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| text.parse().ok())??;
    N::try_from(number).ok()
}

/// Numbers with blanks between. None at all has a text form and no binary one.
fn vector(text: &str, element: &PgType, out: &mut Vec<u8>) -> Result<(), CellReason> {
    let numbers: Option<Vec<i128>> = text.split_ascii_whitespace().map(literal::integer).collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty());
    let numbers = numbers.ok_or(CellReason::NotA("one or more numbers with blanks between"))?;
    for word in [1, 0, element.oid() as i32, numbers.len() as i32, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for number in numbers {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        int::payload(number, element, out)?;
        let length = (out.len() - start - 4) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn snapshot(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut parts = text.split(':');
    let bounds = [parts.next()?, parts.next()?];
    let between = parts.next().filter(|_| parts.next().is_none())?;
    let between: Vec<&str> = between.split(',').filter(|_| !between.is_empty()).collect();
    out.extend_from_slice(&(between.len() as i32).to_be_bytes());
    for id in bounds.into_iter().chain(between) {
        out.extend_from_slice(&number::<i64>(id)?.to_be_bytes());
    }
    Some(())
}
