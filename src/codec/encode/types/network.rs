//! `inet` and `cidr`: `u8` family (2, 3), `u8` prefix bits, `u8` is-cidr, `u8` address bytes, the address.
//! `macaddr` and `macaddr8`: 6 and 8 raw bytes.

use crate::codec::encode::cells::{Binaries, from_text};
use crate::codec::encode::column::{Planned, rendered};
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::codec::wire::{FAMILY_V4, FAMILY_V6};
use crate::literal;
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;
use arrow::datatypes::DataType;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    match (target, source.data_type) {
        (PgType::Inet | PgType::Cidr, _) => address(source, target == &PgType::Cidr),
        (PgType::MacAddr, _) => hardware(source, 6),
        (_, _) => hardware(source, 8),
    }
}

fn address(source: &Source<'_>, is_cidr: bool) -> Planned {
    if source.is_text() {
        return from_text(move |text, out| put_address(text, is_cidr, out));
    }
    if source.extension != Some(Extension::Inet) {
        return Err(Refused::NoRule);
    }
    Ok(Box::new(move |array| {
        let cells = Binaries::of(array)?;
        Ok(rendered(array.nulls(), move |row, out| {
            // CloudQuery writes an address it does not know as no bytes at all and means this.
            let bytes = if cells.get(row).is_empty() {
                b"0.0.0.0/0"
            } else {
                cells.get(row)
            };
            let text = std::str::from_utf8(bytes).map_err(|_| CellReason::NotA("an IP address"))?;
            put_address(text, is_cidr, out)
        }))
    }))
}

fn put_address(text: &str, is_cidr: bool, out: &mut Vec<u8>) -> Result<(), CellReason> {
    let (address, bits) = literal::network(text).ok_or(CellReason::NotA("an IP address"))?;
    let (family, bytes) = match address {
        std::net::IpAddr::V4(address) => (FAMILY_V4, address.octets().to_vec()),
        std::net::IpAddr::V6(address) => (FAMILY_V6, address.octets().to_vec()),
    };
    if is_cidr && !host_is_zero(&bytes, usize::from(bits)) {
        return Err(CellReason::NotA("a network without host bits"));
    }
    out.extend_from_slice(&[family, bits, u8::from(is_cidr), bytes.len() as u8]);
    out.extend_from_slice(&bytes);
    Ok(())
}

fn host_is_zero(bytes: &[u8], bits: usize) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| {
        let kept = bits.saturating_sub(at * 8).min(8) as u32;
        u32::from(*byte) & (0xff >> kept) == 0
    })
}

fn hardware(source: &Source<'_>, width: usize) -> Planned {
    if source.is_text() {
        return from_text(move |text, out| {
            let bytes = literal::hardware(text).ok_or(CellReason::NotA("a hardware address"))?;
            put_hardware(&bytes, width, out)
        });
    }
    match (source.data_type, &source.extension) {
        (_, Some(Extension::Mac)) | (DataType::FixedSizeBinary(6 | 8), None) => Ok(Box::new(move |array| {
            let cells = Binaries::of(array)?;
            Ok(rendered(array.nulls(), move |row, out| {
                let bytes = cells.get(row);
                put_hardware(if bytes.is_empty() { &[0; 6] } else { bytes }, width, out)
            }))
        })),
        _ => Err(Refused::NoRule),
    }
}

/// Six bytes become eight in a `macaddr8` as Postgres' own cast has it: FF and FE in the middle.
fn put_hardware(bytes: &[u8], width: usize, out: &mut Vec<u8>) -> Result<(), CellReason> {
    match (bytes.len(), width) {
        (found, expected) if found == expected => out.extend_from_slice(bytes),
        (6, 8) => {
            out.extend_from_slice(&bytes[..3]);
            out.extend_from_slice(&[0xff, 0xfe]);
            out.extend_from_slice(&bytes[3..]);
        }
        (found, expected) => {
            return Err(CellReason::WrongLength {
                found,
                expected,
                unit: "bytes",
            });
        }
    }
    Ok(())
}
