//! Patterns of names in access rules: `*` stands for any run of characters, `?` for one, what is in double quotes for itself.

use crate::model::ident::{Ident, TableName};

/// One piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Exactly this character.
    Exactly(char),
    /// Any one character.
    One,
    /// Any characters, or none.
    Any,
}

/// A pattern of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

impl Pattern {
    /// Every name.
    fn every() -> Self {
        Self(vec![Piece::Any])
    }

    /// A pattern of principals, in which quotes stand for themselves.
    pub fn of_principal(text: &str) -> Self {
        Self(text.chars().map(piece).collect())
    }

    /// Whether a name fits. Linear in the product of both lengths at worst, whatever the pattern is.
    pub fn fits(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut here) = (0, 0);
        // Where the last `*` stood, and how much of the name it has taken.
        let mut star: Option<(usize, usize)> = None;
        while here < name.len() {
            match self.0.get(at) {
                Some(Piece::Any) => {
                    star = Some((at, here));
                    at += 1;
                }
                Some(Piece::One) => (at, here) = (at + 1, here + 1),
                Some(Piece::Exactly(wanted)) if *wanted == name[here] => (at, here) = (at + 1, here + 1),
                _ => match star {
                    Some((piece, taken)) => {
                        star = Some((piece, taken + 1));
                        (at, here) = (piece + 1, taken + 1);
                    }
                    None => return false,
                },
            }
        }
        self.0.iter().skip(at).all(|piece| *piece == Piece::Any)
    }

    fn is_every(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|piece| *piece == Piece::Any)
    }
}

fn piece(character: char) -> Piece {
    match character {
        '*' => Piece::Any,
        '?' => Piece::One,
        exactly => Piece::Exactly(exactly),
    }
}

/// A pattern of tables: `schema.table`, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    schema: Pattern,
    table: Pattern,
}

impl TablePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self {
                schema: Pattern::every(),
                table: Pattern::every(),
            });
        }
        let mut parts = vec![Vec::new()];
        let mut quoted = false;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let piece = match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    Piece::Exactly('"')
                }
                '"' => {
                    quoted = !quoted;
                    continue;
                }
                '.' if !quoted => {
                    parts.push(Vec::new());
                    continue;
                }
                exactly if quoted => Piece::Exactly(exactly),
                other => piece(other),
            };
            if let Some(part) = parts.last_mut() {
                part.push(piece);
            }
        }
        match (<[Vec<Piece>; 2]>::try_from(parts), quoted) {
            (Ok([schema, table]), false) if !schema.is_empty() && !table.is_empty() => Ok(Self {
                schema: Pattern(schema),
                table: Pattern(table),
            }),
            _ => Err(format!(
                "is {text:?}; allowed: schema.table with * and ? in either, or * for every table; names with dots stand in double quotes"
            )),
        }
    }

    /// Whether a table fits. One whose schema is not known fits only where every schema does.
    pub fn fits(&self, table: &TableName) -> bool {
        let schema = table.schema.as_ref().map_or("", Ident::as_str);
        self.schema.fits(schema) && self.table.fits(table.name.as_str())
    }

    /// Whether a table of this schema can fit.
    pub fn reaches(&self, schema: &str) -> bool {
        self.schema.fits(schema)
    }

    /// Whether all tables fit.
    pub fn is_every(&self) -> bool {
        self.schema.is_every() && self.table.is_every()
    }
}
