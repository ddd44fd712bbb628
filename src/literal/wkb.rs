//! Well-known binary, ISO's and PostGIS' extended form, in either byte order, as PostGIS sends it: extended, little-endian.
//!
//! What PostGIS would take and change without a word is refused here: bytes behind a geometry, numbers of abstract kinds, SRIDs
//! inside or out of range, a point with a height and no place, positions that `geography` has not. So is what it refuses
//! itself, as a bad row instead of a failed statement; and no bytes at all, over which PostGIS 3.3 takes the server down.

use super::unreadable::Unreadable;
use crate::model::geometry::{Dims, Kind, MAX_SRID, Modifier};

/// The flags of the extended form; the fourth bit of the nibble means nothing.
pub(super) const HAS_Z: u32 = 0x8000_0000;
pub(super) const HAS_M: u32 = 0x4000_0000;
pub(super) const HAS_SRID: u32 = 0x2000_0000;
const UNKNOWN_FLAG: u32 = 0x1000_0000;

/// Geometries within one another that PostGIS reads (`LW_PARSER_MAX_DEPTH`).
pub(super) const MAX_LEVELS: usize = 199;

/// What is asked of every value.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rule {
    /// The SRID that the field names (0: none).
    pub(crate) srid: u32,
    /// What the column says.
    pub(crate) column: Option<Modifier>,
    /// Whether the column is a `geography`.
    pub(crate) on_globe: bool,
}

/// Appends the extended form of one value.
pub(crate) fn extended(bytes: &[u8], rule: &Rule, out: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut reader = Reader { bytes, rule };
    let head = reader.head()?;
    let srid = rule.srid_of(&head)?;
    rule.check(&head)?;
    let outer = Outer {
        srid,
        dims: head.dims,
        levels: MAX_LEVELS,
    };
    put_head(&head, srid, out);
    reader.body(&head, outer, out)?;
    match reader.bytes {
        [] => Ok(()),
        _ => Err(Unreadable::NotWkb("there are bytes behind the geometry")),
    }
}

impl Rule {
    /// The SRID of a value: its own, its field's and its column's must be one.
    fn srid_of(&self, head: &Head) -> Result<u32, Unreadable> {
        let column = self.column.map_or(0, |column| column.srid);
        let mut known = [head.srid.unwrap_or(0), self.srid, column]
            .into_iter()
            .filter(|srid| *srid != 0);
        let srid = known.next().unwrap_or(0);
        if known.all(|other| other == srid) {
            Ok(srid)
        } else {
            Err(Unreadable::NotKept(
                "the value's SRID is not that of its field or of the column",
            ))
        }
    }

    /// What PostGIS checks of a column's modifier, but that an empty multipoint is no point.
    fn check(&self, head: &Head) -> Result<(), Unreadable> {
        if self.on_globe && !head.kind.is_geographic() {
            return Err(Unreadable::NotKept(
                "geography has no curves, triangles and surfaces of faces",
            ));
        }
        let Some(column) = self.column else {
            return Ok(());
        };
        if column.kind.is_some_and(|kind| kind != head.kind) {
            return Err(Unreadable::NotKept("the geometry is of another kind than the column's"));
        }
        if column.dims != head.dims {
            return Err(Unreadable::NotKept(
                "the geometry and the column do not both have Z, or M",
            ));
        }
        Ok(())
    }
}

/// The beginning of a geometry.
#[derive(Clone, Copy)]
struct Head {
    little: bool,
    kind: Kind,
    dims: Dims,
    srid: Option<u32>,
}

/// What a geometry has from those around it.
#[derive(Clone, Copy)]
struct Outer {
    srid: u32,
    dims: Dims,
    levels: usize,
}

struct Reader<'a> {
    bytes: &'a [u8],
    rule: &'a Rule,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(Unreadable::NotWkb("it ends within a geometry"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn word(&mut self, little: bool) -> Result<u32, Unreadable> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(if little {
            u32::from_le_bytes(word)
        } else {
            u32::from_be_bytes(word)
        })
    }

    fn head(&mut self) -> Result<Head, Unreadable> {
        let little = match self.take(1)? {
            [0] => false,
            [1] => true,
            _ => return Err(Unreadable::NotWkb("a byte order is neither 0 nor 1")),
        };
        let word = self.word(little)?;
        // ISO counts dimensions in thousands.
        let (thousands, code) = ((word & 0x0FFF_FFFF) / 1000, word % 0x1000_0000 % 1000);
        let kind = Kind::of_code(code).filter(|_| thousands <= 3 && word & UNKNOWN_FLAG == 0);
        let kind = kind.ok_or(Unreadable::NotWkb("a kind of geometry is unknown"))?;
        let dims = Dims {
            z: word & HAS_Z != 0 || thousands & 1 != 0,
            m: word & HAS_M != 0 || thousands & 2 != 0,
        };
        let srid = if word & HAS_SRID == 0 {
            None
        } else {
            Some(self.word(little)?)
        };
        if srid.is_some_and(|srid| srid > MAX_SRID) {
            return Err(Unreadable::NotKept(
                "the SRID is over 999999, which PostGIS would change",
            ));
        }
        Ok(Head {
            little,
            kind,
            dims,
            srid,
        })
    }

    fn body(&mut self, head: &Head, outer: Outer, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match head.kind {
            Kind::Point => self.point(head, out),
            Kind::LineString => self.positions(head, |count| count != 1, out),
            Kind::CircularString => self.positions(head, |count| count == 0 || (count > 1 && count % 2 == 1), out),
            Kind::Polygon | Kind::Triangle => self.rings(head, out),
            _ => self.parts(head, outer, out),
        }
    }

    fn point(&mut self, head: &Head, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let start = out.len();
        self.numbers(head, 1, out)?;
        let mut numbers = out[start..].chunks_exact(8).map(number);
        let placed = numbers.by_ref().take(2).any(|number| !number.is_nan());
        if !placed && numbers.any(|number| !number.is_nan()) {
            return Err(Unreadable::NotKept(
                "the point has Z or M and no x and y, and PostGIS would drop those",
            ));
        }
        Ok(())
    }

    fn positions(&mut self, head: &Head, fits: fn(u32) -> bool, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let count = self.count(head, out)?;
        if !fits(count) {
            return Err(Unreadable::NotKept(
                "a line needs two positions, an arc three, and arcs an odd number",
            ));
        }
        self.numbers(head, count, out)
    }

    fn rings(&mut self, head: &Head, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let triangle = head.kind == Kind::Triangle;
        let rings = self.count(head, out)?;
        if triangle && rings > 1 {
            return Err(Unreadable::NotKept("a triangle has one ring"));
        }
        for _ in 0..rings {
            let count = self.count(head, out)?;
            let start = out.len();
            self.numbers(head, count, out)?;
            let last = out.len().saturating_sub(8 * head.dims.count());
            if !triangle && (count < 4 || out[start..start + 16] != out[last..last + 16]) {
                return Err(Unreadable::NotKept(
                    "a ring needs four positions, the last of them at the first",
                ));
            }
        }
        Ok(())
    }

    fn parts(&mut self, head: &Head, outer: Outer, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let inside = Outer {
            levels: outer.levels.saturating_sub(1),
            ..outer
        };
        for _ in 0..self.count(head, out)? {
            if inside.levels == 0 {
                return Err(Unreadable::NotKept("geometries lie more than 199 deep in one another"));
            }
            let part = self.head()?;
            if !head.kind.takes(part.kind) {
                return Err(Unreadable::NotKept("a part is of a kind that the whole does not take"));
            }
            if part.dims != outer.dims {
                return Err(Unreadable::NotKept("parts differ in Z or M"));
            }
            if part.srid.is_some_and(|srid| srid != outer.srid) {
                return Err(Unreadable::NotKept(
                    "a part has an SRID of its own, which PostGIS would drop",
                ));
            }
            put_head(&part, 0, out);
            self.body(&part, inside, out)?;
        }
        Ok(())
    }

    /// Copies a number of positions, rings or parts.
    fn count(&mut self, head: &Head, out: &mut Vec<u8>) -> Result<u32, Unreadable> {
        let count = self.word(head.little)?;
        out.extend_from_slice(&count.to_le_bytes());
        Ok(count)
    }

    /// Copies positions.
    fn numbers(&mut self, head: &Head, positions: u32, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        // Where the product is too large for the type, so it is for the value.
        let size = (8 * head.dims.count()).saturating_mul(positions as usize);
        let start = out.len();
        out.extend_from_slice(self.take(size)?);
        if !head.little {
            out[start..].chunks_exact_mut(8).for_each(<[u8]>::reverse);
        }
        let on_globe = |position: &[u8]| {
            let beyond = |at: usize, most: f64| number(&position[at..at + 8]).abs() > most;
            !beyond(0, 180.0) && !beyond(8, 90.0)
        };
        if self.rule.on_globe && !out[start..].chunks_exact(8 * head.dims.count()).all(on_globe) {
            return Err(Unreadable::NotKept(
                "a position is beyond 180 degrees of longitude or 90 of latitude, and PostGIS would move it",
            ));
        }
        Ok(())
    }
}

/// A number in little-endian bytes.
fn number(bytes: &[u8]) -> f64 {
    let mut number = [0; 8];
    number.copy_from_slice(bytes);
    f64::from_le_bytes(number)
}

fn put_head(head: &Head, srid: u32, out: &mut Vec<u8>) {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    let flags = flag(head.dims.z, HAS_Z) | flag(head.dims.m, HAS_M) | flag(srid != 0, HAS_SRID);
    out.push(1);
    out.extend_from_slice(&(head.kind.code() | flags).to_le_bytes());
    if srid != 0 {
        out.extend_from_slice(&srid.to_le_bytes());
    }
}
