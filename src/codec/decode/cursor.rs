//! A checked cursor over the bytes of one field: every step either yields what it promises or says what is missing.
//!
//! All numbers are big-endian, as Postgres sends them. Nothing here panics, whatever the bytes.

use super::fault::Fault;
use crate::codec::wire::NULL_LENGTH;

/// What is left of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Two bytes.
    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Two bytes with a sign.
    pub(crate) fn i16(&mut self) -> Result<i16, Fault> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Four bytes with a sign.
    pub(crate) fn i32(&mut self) -> Result<i32, Fault> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Four bytes that count something.
    pub(crate) fn count(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.i32()?).map_err(|_| Fault::Malformed("a count is negative"))
    }

    /// Eight bytes with a sign.
    pub(crate) fn i64(&mut self) -> Result<i64, Fault> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A field inside a field: its bytes, or nothing for NULL.
    pub(crate) fn field(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        match self.i32()? {
            NULL_LENGTH => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Fault::Malformed("a length is negative"))?;
                self.take(length).map(Some)
            }
        }
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// There must be nothing left.
    pub(crate) fn end(self) -> Result<(), Fault> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(Fault::Trailing(left)),
        }
    }
}

/// A field of exactly `N` bytes.
pub(crate) fn exactly<const N: usize>(payload: &[u8]) -> Result<[u8; N], Fault> {
    payload.try_into().map_err(|_| match payload.len().checked_sub(N) {
        Some(left) => Fault::Trailing(left),
        None => Fault::Short,
    })
}
