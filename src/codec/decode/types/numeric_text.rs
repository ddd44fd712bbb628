//! `numeric` as the text that Postgres prints: plain digits with as many after the point as its display scale says, or
//! `NaN`, `Infinity`, `-Infinity`.

use super::numeric::{Number, Read, read};
use crate::codec::decode::fault::Fault;

/// Renders a payload.
pub(super) fn render<'a>(payload: &'a [u8], text: &'a mut String) -> Result<&'a str, Fault> {
    match read(payload)? {
        Read::NotANumber => text.push_str("NaN"),
        Read::Infinite { negative: false } => text.push_str("Infinity"),
        Read::Infinite { negative: true } => text.push_str("-Infinity"),
        Read::Finite(number) => finite(&number, text),
    }
    Ok(text)
}

fn finite(number: &Number<'_>, text: &mut String) {
    if number.negative {
        text.push('-');
    }
    let mut groups = number.groups();
    let start = text.len();
    for n in 0..=number.weight {
        let group = groups.next().unwrap_or(0);
        let digits = if n == 0 {
            group.to_string()
        } else {
            format!("{group:04}")
        };
        text.push_str(&digits);
    }
    if text.len() == start {
        text.push('0');
    }
    let scale = usize::from(number.display_scale);
    if scale == 0 {
        return;
    }
    text.push('.');
    let end = text.len() + scale;
    // A first group further right than the point has groups of zeros before it.
    for _ in number.weight..-1 {
        if text.len() >= end {
            break;
        }
        text.push_str("0000");
    }
    while text.len() < end {
        let group = groups.next().unwrap_or(0);
        text.push_str(&format!("{group:04}"));
    }
    text.truncate(end);
}
