//! `timetz`: `i64` microseconds of the day, `i32` seconds west of UTC. Arrow has no such type, so it is text as Postgres
//! prints it.

use arrow::datatypes::Field;

use super::text;
use crate::codec::decode::column::Planned;
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::Fault;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    text::rendered(field.data_type(), |payload, text| {
        let mut cursor = Cursor::new(payload);
        let (micros, west) = (cursor.i64()?, cursor.i32()?);
        cursor.end()?;
        render(micros, west, text)?;
        Ok(text)
    })
}

fn render(micros: i64, west: i32, text: &mut String) -> Result<(), Fault> {
    if !(0..=86_400_000_000).contains(&micros) || west.unsigned_abs() >= 86_400 {
        return Err(Fault::Malformed("a time is outside the day"));
    }
    let seconds = micros / 1_000_000;
    text.push_str(&format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    ));
    if micros % 1_000_000 != 0 {
        let digits = format!(".{:06}", micros % 1_000_000);
        text.push_str(digits.trim_end_matches('0'));
    }
    let east = west.unsigned_abs();
    text.push(if west <= 0 { '+' } else { '-' });
    text.push_str(&format!("{:02}", east / 3_600));
    if !east.is_multiple_of(3_600) {
        text.push_str(&format!(":{:02}", east / 60 % 60));
    }
    if !east.is_multiple_of(60) {
        text.push_str(&format!(":{:02}", east % 60));
    }
    Ok(())
}
