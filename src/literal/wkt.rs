//! Well-known text of any kind that PostGIS has, as extended well-known binary.
//!
//! Read here and not by the crate `wkt`, which takes no curves, passes over what stands behind a geometry, recurses as deep as
//! its input says and logs texts that it cannot read. What the binary form has to fulfil is [`super::wkb`]'s business.

use super::unreadable::Unreadable;
use super::wkb::{HAS_M, HAS_SRID, HAS_Z, MAX_LEVELS};
use crate::model::geometry::{Dims, Kind, MAX_SRID};

const FORM: Unreadable = Unreadable::NotA("well-known text of a geometry, such as POINT (1 2)");
const MIXED: Unreadable =
    Unreadable::NotA("well-known text whose positions all have the same numbers, and Z and M as it says");

/// Appends the extended binary form of one text.
pub(crate) fn binary(text: &str, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut parser = Parser {
        rest: text,
        dims: None,
        heads: Vec::new(),
        out,
    };
    let srid = parser.srid()?;
    parser.tagged(None, srid, MAX_LEVELS)?;
    parser.skip_blanks();
    if !parser.rest.is_empty() {
        return Err(FORM);
    }
    parser.finish();
    Ok(())
}

struct Parser<'a, 'o> {
    rest: &'a str,
    /// What every geometry of the text has, once that is known: parts of different dimensions cannot be stored.
    dims: Option<Dims>,
    /// Where numbers of kinds are that lack their dimensions.
    heads: Vec<usize>,
    out: &'o mut Vec<u8>,
}

impl<'a> Parser<'a, '_> {
    /// Adds the dimensions, which may be known only at the first position.
    fn finish(self) {
        let dims = self.dims.unwrap_or_default();
        // The flags are in the highest byte of a little-endian word.
        let flags = if dims.z { HAS_Z } else { 0 } | if dims.m { HAS_M } else { 0 };
        for at in self.heads {
            self.out[at + 3] |= flags.to_be_bytes()[0];
        }
    }

    /// `SRID=4326;`, which PostGIS writes before the text.
    fn srid(&mut self) -> Result<u32, Unreadable> {
        let Some((before, rest)) = self.rest.split_once(';') else {
            return Ok(0);
        };
        let (name, digits) = before.split_once('=').ok_or(FORM)?;
        if !name.trim().eq_ignore_ascii_case("SRID") || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(FORM);
        }
        self.rest = rest;
        let srid = digits.parse().ok().filter(|srid| *srid <= MAX_SRID);
        srid.ok_or(Unreadable::OutOfRange)
    }

    /// A geometry that names its kind, alone or in another.
    fn tagged(&mut self, within: Option<Kind>, srid: u32, levels: usize) -> Result<(), Unreadable> {
        let (name, joined) = Dims::split(self.word());
        let kind = Kind::named(name).filter(|kind| within.is_none_or(|within| within.takes(*kind)));
        let kind = kind.ok_or(FORM)?;
        let mut dims = (joined != Dims::default()).then_some(joined);
        if dims.is_none() {
            dims = self.dimensions();
        }
        if let Some(dims) = dims {
            self.agree(dims)?;
        }
        self.head(kind, srid);
        self.body(kind, dims, levels)
    }

    /// `Z`, `M` or `ZM` as a word of its own.
    fn dimensions(&mut self) -> Option<Dims> {
        let before = self.rest;
        match Dims::split(self.word()) {
            ("", dims) if dims != Dims::default() => Some(dims),
            _ => {
                self.rest = before;
                None
            }
        }
    }

    fn head(&mut self, kind: Kind, srid: u32) {
        self.out.push(1);
        self.heads.push(self.out.len());
        let flag = if srid == 0 { 0 } else { HAS_SRID };
        self.out.extend_from_slice(&(kind.code() | flag).to_le_bytes());
        if srid != 0 {
            self.out.extend_from_slice(&srid.to_le_bytes());
        }
    }

    /// What follows a kind: `EMPTY` or parentheses. `dims` are those that the geometry names.
    fn body(&mut self, kind: Kind, dims: Option<Dims>, levels: usize) -> Result<(), Unreadable> {
        if self.empty() {
            let dims = dims.or(self.dims).unwrap_or_default();
            self.agree(dims)?;
            match kind {
                Kind::Point => (0..dims.count()).for_each(|_| self.number(f64::NAN)),
                _ => self.out.extend_from_slice(&[0; 4]),
            }
            return Ok(());
        }
        match kind {
            Kind::Point => {
                self.expect('(')?;
                self.position(dims)?;
                self.expect(')')
            }
            Kind::LineString | Kind::CircularString => self.list(|parser| parser.position(dims)),
            Kind::Polygon | Kind::Triangle => self.list(|ring| ring.list(|parser| parser.position(dims))),
            _ if levels == 0 => Err(Unreadable::NotKept("geometries lie too deep in one another")),
            _ => self.list(|parser| parser.part(kind, dims, levels - 1)),
        }
    }

    fn part(&mut self, whole: Kind, dims: Option<Dims>, levels: usize) -> Result<(), Unreadable> {
        self.skip_blanks();
        let named = self.rest.starts_with(|c: char| c.is_ascii_alphabetic()) && !self.peeks_empty();
        match whole.part() {
            Some(part) if !named => {
                self.head(part, 0);
                // The points of a multipoint may stand without parentheses of their own.
                if part == Kind::Point && self.rest.starts_with(|c: char| c != '(' && !c.is_ascii_alphabetic()) {
                    return self.position(dims);
                }
                self.body(part, dims, levels)
            }
            _ => self.tagged(Some(whole), 0, levels),
        }
    }

    /// `(item, ...)` behind the number of items.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Unreadable>) -> Result<(), Unreadable> {
        let (start, mut count) = (self.out.len(), 0u32);
        self.out.extend_from_slice(&[0; 4]);
        self.expect('(')?;
        loop {
            item(self)?;
            count += 1;
            if !self.skip(',') {
                break;
            }
        }
        self.out[start..start + 4].copy_from_slice(&count.to_le_bytes());
        self.expect(')')
    }

    /// Two to four numbers; three are x, y and z where the geometry does not name M.
    fn position(&mut self, dims: Option<Dims>) -> Result<(), Unreadable> {
        let mut count = 0;
        while let Some(number) = self.next_number()? {
            self.number(number);
            count += 1;
        }
        let dims = dims.unwrap_or(Dims {
            z: count > 2,
            m: count > 3,
        });
        if !(2..=4).contains(&count) {
            return Err(FORM);
        }
        if count != dims.count() {
            return Err(MIXED);
        }
        self.agree(dims)
    }

    fn agree(&mut self, dims: Dims) -> Result<(), Unreadable> {
        if *self.dims.get_or_insert(dims) == dims {
            Ok(())
        } else {
            Err(MIXED)
        }
    }

    fn number(&mut self, number: f64) {
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// A decimal number, which becomes the nearest one that there is; what is too large for all is refused.
    fn next_number(&mut self) -> Result<Option<f64>, Unreadable> {
        self.skip_blanks();
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let digits = self.take_while(is_part);
        if digits.is_empty() {
            return Ok(None);
        }
        let number: f64 = digits.parse().map_err(|_| FORM)?;
        if number.is_finite() {
            Ok(Some(number))
        } else {
            Err(Unreadable::OutOfRange)
        }
    }

    fn word(&mut self) -> &'a str {
        self.skip_blanks();
        self.take_while(|c| c.is_ascii_alphabetic())
    }

    fn peeks_empty(&self) -> bool {
        let word = self.rest.split(|c: char| !c.is_ascii_alphabetic()).next();
        word.is_some_and(|word| word.eq_ignore_ascii_case("EMPTY"))
    }

    fn empty(&mut self) -> bool {
        self.skip_blanks();
        let found = self.peeks_empty();
        if found {
            self.word();
        }
        found
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn skip(&mut self, c: char) -> bool {
        self.skip_blanks();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, c: char) -> Result<(), Unreadable> {
        if self.skip(c) { Ok(()) } else { Err(FORM) }
    }
}
