//! Names of objects that pgflight makes: constraints, indexes, tables moved aside. Pure.
//!
//! Where Postgres would choose the name itself (`<table>_<column>_key`), its rule is repeated here (`makeObjectName` in
//! `indexcmds.c`), so that our own constraints are recognised again. Where CloudQuery's Go plugin chooses, its rule is.

use sha2::{Digest, Sha256};

use crate::model::ident::{Ident, MAX_IDENT_BYTES};
use crate::model::wanted::cut;

/// `name1_name2_label`, the longer of both names cut byte by byte (never inside a character) until the whole fits.
pub fn object_name(name1: &Ident, name2: Option<&Ident>, label: &str) -> Option<Ident> {
    let overhead = label.len() + 1 + usize::from(name2.is_some());
    let available = MAX_IDENT_BYTES.checked_sub(overhead)?;
    let mut length1 = name1.as_str().len();
    let mut length2 = name2.map_or(0, |name| name.as_str().len());
    while length1 + length2 > available {
        if length1 > length2 {
            length1 -= 1;
        } else {
            length2 -= 1;
        }
    }
    let first = cut(name1.as_str(), length1);
    let name = match name2 {
        Some(name2) => format!("{first}_{}_{label}", cut(name2.as_str(), length2)),
        None => format!("{first}_{label}"),
    };
    Ident::new(name).ok()
}

/// Name of CloudQuery's index for deleting stale rows: `<table>_cqpi`, or 32 hex digits of the table name's SHA-256
/// in place of a name that is longer than 58 bytes.
pub fn performance_index(table: &Ident) -> Option<Ident> {
    const LONGEST: usize = 58;
    if table.as_str().len() <= LONGEST {
        return Ident::new(format!("{table}_cqpi")).ok();
    }
    Ident::new(format!("{}_cqpi", hex(table.as_str(), 32))).ok()
}

/// `name` itself, or a name of at most `bytes` bytes made of its beginning and ten hex digits of its SHA-256: the same
/// on every run, and different for names that differ only after the cut.
pub fn shortened(name: &str, bytes: usize) -> String {
    if name.len() <= bytes {
        return name.to_owned();
    }
    const DIGITS: usize = 10;
    format!("{}_{}", cut(name, bytes.saturating_sub(DIGITS + 1)), hex(name, DIGITS))
}

/// `name_suffix`, the name shortened where both together are too long.
pub fn with_suffix(name: &Ident, suffix: &str) -> Option<Ident> {
    let room = MAX_IDENT_BYTES.checked_sub(suffix.len() + 1)?;
    Ident::new(format!("{}_{suffix}", shortened(name.as_str(), room))).ok()
}

fn hex(text: &str, digits: usize) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let mut hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(name: &str) -> Ident {
        Ident::new(name).unwrap()
    }

    #[test]
    fn constraint_names_are_those_that_postgres_chooses() {
        // Both read from PostgreSQL 15: the names of `unique` columns of such tables.
        assert_eq!(
            object_name(&ident("t"), Some(&ident("c")), "key").unwrap().as_str(),
            "t_c_key"
        );
        let long = object_name(&ident(&"t".repeat(60)), Some(&ident(&"c".repeat(20))), "key").unwrap();
        assert_eq!(long.as_str(), format!("{}_{}_key", "t".repeat(38), "c".repeat(20)));
    }

    #[test]
    fn the_performance_index_has_the_go_plugins_name() {
        assert_eq!(performance_index(&ident("aws_ec2")).unwrap().as_str(), "aws_ec2_cqpi");
        let name = performance_index(&ident(&"a".repeat(63))).unwrap();
        // sha256 of 63 times "a", by sha256sum.
        assert_eq!(name.as_str(), "7d3e74a05d7db15bce4ad9ec0658ea98_cqpi");
    }

    #[test]
    fn shortening_is_stable_distinct_and_keeps_characters_whole() {
        let (one, two) = ("é".repeat(40) + "1", "é".repeat(40) + "2");
        let (short_one, short_two) = (shortened(&one, 63), shortened(&two, 63));
        assert_ne!(short_one, short_two);
        assert!(short_one.len() <= 63 && short_one.starts_with(&"é".repeat(26)));
        assert_eq!(shortened("kept", 63), "kept");
        assert_eq!(
            with_suffix(&ident("t"), "20260102T030405").unwrap().as_str(),
            "t_20260102T030405"
        );
        assert!(
            with_suffix(&ident(&"t".repeat(63)), "20260102T030405")
                .unwrap()
                .as_str()
                .len()
                <= 63
        );
    }
}
