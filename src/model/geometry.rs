//! PostGIS' geometries: their kinds, their dimensions, and the modifiers that columns of them have.

use std::fmt;

/// Largest SRID that PostGIS keeps; it changes larger ones with no more than a notice.
pub const MAX_SRID: u32 = 999_999;

/// A kind of geometry.
#[expect(missing_docs, reason = "the names are those of the standard")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Point,
    LineString,
    Polygon,
    MultiPoint,
    MultiLineString,
    MultiPolygon,
    GeometryCollection,
    CircularString,
    CompoundCurve,
    CurvePolygon,
    MultiCurve,
    MultiSurface,
    PolyhedralSurface,
    Tin,
    Triangle,
}

/// Every kind with its number in well-known binary and its name. 13 and 14 are abstract: nothing is a `Curve`.
const KINDS: [(Kind, u32, &str); 15] = [
    (Kind::Point, 1, "Point"),
    (Kind::LineString, 2, "LineString"),
    (Kind::Polygon, 3, "Polygon"),
    (Kind::MultiPoint, 4, "MultiPoint"),
    (Kind::MultiLineString, 5, "MultiLineString"),
    (Kind::MultiPolygon, 6, "MultiPolygon"),
    (Kind::GeometryCollection, 7, "GeometryCollection"),
    (Kind::CircularString, 8, "CircularString"),
    (Kind::CompoundCurve, 9, "CompoundCurve"),
    (Kind::CurvePolygon, 10, "CurvePolygon"),
    (Kind::MultiCurve, 11, "MultiCurve"),
    (Kind::MultiSurface, 12, "MultiSurface"),
    (Kind::PolyhedralSurface, 15, "PolyhedralSurface"),
    (Kind::Tin, 16, "Tin"),
    (Kind::Triangle, 17, "Triangle"),
];

impl Kind {
    /// The kind of that number.
    pub fn of_code(code: u32) -> Option<Self> {
        KINDS.iter().find(|(_, known, _)| *known == code).map(|found| found.0)
    }

    /// The kind of that name, however it is written.
    pub fn named(name: &str) -> Option<Self> {
        let found = KINDS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(name));
        found.map(|found| found.0)
    }

    /// The number in well-known binary.
    pub fn code(self) -> u32 {
        KINDS
            .iter()
            .find(|(kind, _, _)| *kind == self)
            .map_or(0, |found| found.1)
    }

    /// What a part is that does not say so; nothing for kinds that have no parts of their own.
    pub fn part(self) -> Option<Self> {
        match self {
            Self::MultiPoint => Some(Self::Point),
            Self::MultiLineString | Self::CompoundCurve | Self::CurvePolygon | Self::MultiCurve => {
                Some(Self::LineString)
            }
            Self::MultiPolygon | Self::MultiSurface | Self::PolyhedralSurface => Some(Self::Polygon),
            Self::Tin => Some(Self::Triangle),
            _ => None,
        }
    }

    /// Whether a part of that kind may be in it.
    pub fn takes(self, part: Self) -> bool {
        match self {
            Self::GeometryCollection => true,
            Self::CurvePolygon | Self::MultiCurve => {
                matches!(part, Self::LineString | Self::CircularString | Self::CompoundCurve)
            }
            Self::CompoundCurve => matches!(part, Self::LineString | Self::CircularString),
            Self::MultiSurface => matches!(part, Self::Polygon | Self::CurvePolygon),
            _ => self.part() == Some(part),
        }
    }

    /// Whether `geography` has it: nothing with curves or faces.
    pub fn is_geographic(self) -> bool {
        self.code() <= Self::GeometryCollection.code()
    }
}

/// What a position has besides x and y.
#[expect(missing_docs, reason = "the names are those of the standard")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dims {
    pub z: bool,
    pub m: bool,
}

impl Dims {
    /// Numbers of a position.
    pub fn count(self) -> usize {
        2 + usize::from(self.z) + usize::from(self.m)
    }

    /// `Z`, `M`, `ZM` or nothing at the end of a name, and what is before it.
    pub fn split(name: &str) -> (&str, Self) {
        let (name, m) = cut_letter(name, 'M');
        let (name, z) = cut_letter(name, 'Z');
        (name, Self { z, m })
    }
}

fn cut_letter(name: &str, letter: char) -> (&str, bool) {
    let cut = name.strip_suffix([letter, letter.to_ascii_lowercase()]);
    cut.map_or((name, false), |rest| (rest, true))
}

/// A type modifier of a `geometry` or `geography` column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modifier {
    /// The only kind that the column takes.
    pub kind: Option<Kind>,
    /// The dimensions that every value has.
    pub dims: Dims,
    /// The SRID that every value has (0: any).
    pub srid: u32,
}

impl Modifier {
    /// Reads a modifier as `format_type` prints it: `PointZ,4326`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, srid) = match text.split_once(',') {
            Some((name, srid)) => (name, srid.trim().parse().ok().filter(|srid| *srid <= MAX_SRID)?),
            None => (text, 0),
        };
        let (name, dims) = Dims::split(name.trim());
        let kind = if name.eq_ignore_ascii_case("Geometry") {
            None
        } else {
            Some(Kind::named(name)?)
        };
        Some(Self { kind, dims, srid })
    }
}

impl fmt::Display for Modifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = KINDS.iter().find(|(kind, _, _)| Some(*kind) == self.kind);
        f.write_str(named.map_or("Geometry", |named| named.2))?;
        f.write_str(if self.dims.z { "Z" } else { "" })?;
        f.write_str(if self.dims.m { "M" } else { "" })?;
        match self.srid {
            0 => Ok(()),
            srid => write!(f, ",{srid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_read_as_postgis_prints_them() {
        // What format_type gives for columns of PostGIS 3.3.
        for text in [
            "Point",
            "PointZ,4326",
            "Geometry,3857",
            "GeometryZM",
            "Tin",
            "TinM",
            "PointZM",
            "GeometryZ,4326",
            "MultiPolygon",
            "GeometryCollection",
        ] {
            let modifier = Modifier::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(modifier.to_string(), text);
        }
        let spoken = Modifier::parse("pointz, 4326").unwrap();
        assert_eq!(spoken.to_string(), "PointZ,4326");
        for text in [
            "",
            "Pt",
            "Point,",
            "Point,x",
            "Point,1000000",
            "Point) ; drop",
            "Point,-1",
            "4326",
        ] {
            assert_eq!(Modifier::parse(text), None, "{text}");
        }
    }
}
