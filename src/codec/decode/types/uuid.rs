//! `uuid`: 16 bytes in network order, given as 16 bytes of any binary layout (text is Postgres' own cast).

use arrow::datatypes::Field;

use super::bytea;
use crate::codec::decode::column::Planned;
use crate::codec::decode::cursor::exactly;

pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    bytea::carved(field.data_type(), |payload| {
        exactly::<16>(payload)?;
        Ok(payload)
    })
}
