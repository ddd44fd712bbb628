//! `inet` and `cidr`: `u8` family (2 or 3), `u8` bits of the mask, `u8` whether it is a cidr, `u8` length, the bytes of the
//! address. `macaddr` and `macaddr8`: 6 and 8 bytes.
//!
//! Text is what Postgres prints: an `inet` of a single host has no mask, a `cidr` always has one. As CloudQuery's `inet`
//! the mask is always there, since its Go library asks for one.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use arrow::array::{ArrayRef, BinaryBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use std::sync::Arc;

use super::{bytea, text};
use crate::codec::decode::column::{ColumnDecoder, Planned};
use crate::codec::decode::cursor::Cursor;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::{FAMILY_V4, FAMILY_V6};
use crate::model::extension::Extension;
use crate::model::pg_type::PgType;

pub(in crate::codec::decode) fn plan(ty: &PgType, field: &Field) -> Planned {
    let masked = Extension::of(field) == Some(Extension::Inet);
    match (ty, field.data_type()) {
        (PgType::Inet | PgType::Cidr, DataType::Binary) if masked => Ok(Box::new(MaskedTexts {
            builder: BinaryBuilder::new(),
            scratch: String::new(),
        })),
        (PgType::Inet | PgType::Cidr, _) => text::rendered(field.data_type(), |payload, text| {
            let address = Address::read(payload)?;
            address.render(text, address.is_cidr || !address.is_host());
            Ok(text)
        }),
        (PgType::MacAddr, DataType::Binary) if is_mac(field) => bytea::carved(field.data_type(), |p| hardware(p, 6)),
        (PgType::MacAddr8, DataType::Binary) if is_mac(field) => bytea::carved(field.data_type(), |p| hardware(p, 8)),
        (PgType::MacAddr, _) => text::rendered(field.data_type(), |payload, text| colons(hardware(payload, 6)?, text)),
        (PgType::MacAddr8, _) => text::rendered(field.data_type(), |payload, text| colons(hardware(payload, 8)?, text)),
        _ => Err(Refused::NoRule),
    }
}

fn is_mac(field: &Field) -> bool {
    Extension::of(field) == Some(Extension::Mac)
}

fn hardware(payload: &[u8], length: usize) -> Result<&[u8], Fault> {
    let mut cursor = Cursor::new(payload);
    let bytes = cursor.take(length)?;
    cursor.end()?;
    Ok(bytes)
}

fn colons<'a>(bytes: &[u8], text: &'a mut String) -> Result<&'a str, Fault> {
    for (n, byte) in bytes.iter().enumerate() {
        let colon = if n > 0 { ":" } else { "" };
        push(text, format_args!("{colon}{byte:02x}"));
    }
    Ok(text)
}

/// Writing to a String cannot fail.
fn push(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).unwrap_or_default();
}

struct Address {
    bits: u8,
    is_cidr: bool,
    host: Host,
}

enum Host {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Address {
    fn read(payload: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let [family, bits, is_cidr, length] = cursor.array()?;
        let (host, most) = match (family, length) {
            (FAMILY_V4, 4) => (Host::V4(Ipv4Addr::from(cursor.array::<4>()?)), 32),
            (FAMILY_V6, 16) => (Host::V6(Ipv6Addr::from(cursor.array::<16>()?)), 128),
            _ => return Err(Fault::Malformed("the family of an address is not known")),
        };
        cursor.end()?;
        if bits > most {
            return Err(Fault::Malformed("the mask of an address is longer than the address"));
        }
        Ok(Self {
            bits,
            is_cidr: is_cidr != 0,
            host,
        })
    }

    fn is_host(&self) -> bool {
        match self.host {
            Host::V4(_) => self.bits == 32,
            Host::V6(_) => self.bits == 128,
        }
    }

    fn render(&self, text: &mut String, with_mask: bool) {
        match self.host {
            Host::V4(host) => push(text, format_args!("{host}")),
            Host::V6(host) => render_v6(host, text),
        }
        if with_mask {
            push(text, format_args!("/{}", self.bits));
        }
    }
}

/// As Postgres' `inet_net_ntop`: the same as Rust's display, but addresses of six zero groups that end in an IPv4 address
/// are shown with it (`::1.2.3.4`), unless they are as short as `::1`.
fn render_v6(host: Ipv6Addr, text: &mut String) {
    let [a, b, c, d, e, f, g, h] = host.segments();
    if [a, b, c, d, e, f] == [0; 6] && g != 0 {
        let low = Ipv4Addr::from((u32::from(g) << 16) | u32::from(h));
        return push(text, format_args!("::{low}"));
    }
    push(text, format_args!("{host}"));
}

struct MaskedTexts {
    builder: BinaryBuilder,
    scratch: String,
}

impl ColumnDecoder for MaskedTexts {
    fn null(&mut self) -> usize {
        self.builder.append_null();
        4
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        self.scratch.clear();
        Address::read(payload)?.render(&mut self.scratch, true);
        self.builder.append_value(&self.scratch);
        Ok(4 + self.scratch.len())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(self.builder.finish()))
    }
}
