//! `tsvector` and `tsquery`, from text in the form in which Postgres prints them; nothing is parsed as a document.
//!
//! `tsvector`: `i32` lexemes; per lexeme its text with a closing 0, `i16` positions, each an `u16` of a weight in the two high
//! bits and the place. `tsquery`: `i32` items; operators before their operands, the right one first; per item a byte 1 and
//! weights, prefix flag and text with a closing 0, or a byte 2 and the operator, for a phrase with its `u16` distance.

use crate::codec::encode::cells::{ByteCheck, NoNul, from_text};
use crate::codec::encode::column::Planned;
use crate::codec::encode::error::{CellReason, Refused};
use crate::codec::encode::source::Source;
use crate::literal::fulltext::{Item, Positions, query, vector};
use crate::model::pg_type::PgType;

/// Longest lexeme in bytes.
const MAX_LEXEME: usize = 2046;
/// What Postgres keeps of a lexeme's positions; it drops more, and moves later ones to the last.
const MAX_POSITIONS: usize = 255;
const LAST_POSITION: u64 = (1 << 14) - 1;

pub(in crate::codec::encode) fn plan(source: &Source<'_>, target: &PgType) -> Planned {
    if !source.is_text() {
        return Err(Refused::NoRule);
    }
    if target == &PgType::TsVector {
        return from_text(|text, out| {
            let lexemes = vector(text).ok_or(CellReason::NotA("a tsvector in the form 'a':1 'b'"))?;
            out.extend_from_slice(&(lexemes.len() as i32).to_be_bytes());
            lexemes.iter().try_for_each(|(word, positions)| {
                put_text(word, out)?;
                put_positions(positions, out)
            })
        });
    }
    from_text(|text, out| {
        let items = query(text).ok_or(CellReason::NotA("a tsquery in the form 'a' & 'b'"))?;
        // Postgres sends an empty query and refuses to receive it.
        if items.is_empty() {
            return Err(CellReason::NotA(
                "a tsquery with a lexeme, and binary COPY takes no empty one",
            ));
        }
        out.extend_from_slice(&(items.len() as i32).to_be_bytes());
        items.iter().rev().try_for_each(|item| put_item(item, out))
    })
}

fn put_positions(positions: &Positions, out: &mut Vec<u8>) -> Result<(), CellReason> {
    if positions.len() > MAX_POSITIONS {
        return Err(CellReason::TooLong {
            found: positions.len(),
            limit: MAX_POSITIONS,
            unit: "positions of one lexeme",
        });
    }
    out.extend_from_slice(&(positions.len() as i16).to_be_bytes());
    for (position, weight) in positions {
        let position = u16::try_from(*position)
            .ok()
            .filter(|_| (1..=LAST_POSITION).contains(position));
        let position = position.ok_or(CellReason::OutOfRange)?;
        out.extend_from_slice(&(u16::from(*weight) << 14 | position).to_be_bytes());
    }
    Ok(())
}

fn put_item(item: &Item, out: &mut Vec<u8>) -> Result<(), CellReason> {
    match item {
        Item::Lexeme(word, weights, prefix) => {
            out.extend_from_slice(&[1, *weights, u8::from(*prefix)]);
            put_text(word, out)?;
        }
        Item::Not => out.extend_from_slice(&[2, 1]),
        Item::And => out.extend_from_slice(&[2, 2]),
        Item::Or => out.extend_from_slice(&[2, 3]),
        Item::Phrase(distance) => {
            out.extend_from_slice(&[2, 4]);
            out.extend_from_slice(&distance.to_be_bytes());
        }
    }
    Ok(())
}

fn put_text(word: &str, out: &mut Vec<u8>) -> Result<(), CellReason> {
    NoNul.cell(word.as_bytes())?;
    if word.len() > MAX_LEXEME {
        return Err(CellReason::TooLong {
            found: word.len(),
            limit: MAX_LEXEME,
            unit: "bytes in one lexeme",
        });
    }
    out.extend_from_slice(word.as_bytes());
    out.push(0);
    Ok(())
}
