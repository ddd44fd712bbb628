//! `date`: days since 2000-01-01 as `i32`; the largest and smallest number are the infinities, which no Arrow date has.

use arrow::datatypes::{DataType, Date32Type, Date64Type, Field};

use crate::codec::decode::column::{Planned, primitive};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::{DAY_MS, EPOCH_DAYS};

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    match field.data_type() {
        DataType::Date32 => primitive::<Date32Type, _>(field.data_type(), unix_days),
        DataType::Date64 => {
            primitive::<Date64Type, _>(field.data_type(), |payload| Ok(i64::from(unix_days(payload)?) * DAY_MS))
        }
        _ => Err(Refused::NoRule),
    }
}

fn unix_days(payload: &[u8]) -> Result<i32, Fault> {
    match i32::from_be_bytes(exactly(payload)?) {
        i32::MAX | i32::MIN => Err(Fault::Infinite),
        days => days.checked_add(EPOCH_DAYS).ok_or(Fault::OutOfRange),
    }
}
