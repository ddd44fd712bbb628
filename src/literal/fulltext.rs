//! `tsvector` and `tsquery` in the form in which Postgres prints them (its manual: 8.11): lexemes in quotes, in which
//! quotes and backslashes are doubled. A bare lexeme is taken where it is of letters, digits and `_` only.

use std::collections::BTreeMap;

use super::leading_digits;

/// Positions of a lexeme, each with its weight (3 for A, 0 for D).
pub(crate) type Positions = BTreeMap<u64, u8>;

/// One item of a query, in the order in which an expression is computed: operands before their operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A lexeme, the set of weights it is restricted to (bit 3 for A, bit 0 for D), and whether it is a prefix.
    Lexeme(String, u8, bool),
    Not,
    And,
    Or,
    /// At this distance.
    Phrase(u16),
}

/// Largest distance of a phrase.
const MAX_DISTANCE: u64 = 1 << 14;

/// Lexemes in the order of their bytes. What is there twice is one lexeme with the positions of both; of two weights at one
/// position the heavier is kept.
pub(crate) fn vector(mut text: &str) -> Option<BTreeMap<String, Positions>> {
    let mut found: BTreeMap<String, Positions> = BTreeMap::new();
    text = text.trim_ascii_start();
    while !text.is_empty() {
        let positions = found.entry(lexeme(&mut text)?).or_default();
        if let Some(rest) = text.strip_prefix(':') {
            text = rest;
            loop {
                let (position, _) = leading_digits(&mut text, 18)?;
                let weight = letter(&mut text).unwrap_or(0);
                let kept = positions.entry(position).or_insert(weight);
                *kept = weight.max(*kept);
                match text.strip_prefix(',') {
                    Some(rest) => text = rest,
                    None => break,
                }
            }
        }
        let rest = text.trim_ascii_start();
        if rest.len() == text.len() && !rest.is_empty() {
            return None;
        }
        text = rest;
    }
    Some(found)
}

/// The items of a query; none for an empty one. Operators of one priority bind from the left, as Postgres has it.
pub(crate) fn query(mut text: &str) -> Option<Vec<Item>> {
    let (mut items, mut waiting) = (Vec::new(), Vec::new());
    text = text.trim_ascii();
    if text.is_empty() {
        return Some(items);
    }
    let mut operand_next = true;
    while !text.is_empty() {
        if operand_next {
            if let Some(rest) = text.strip_prefix('!') {
                waiting.push(Some(Item::Not));
                text = rest;
            } else if let Some(rest) = text.strip_prefix('(') {
                waiting.push(None);
                text = rest;
            } else {
                items.push(operand(&mut text)?);
                operand_next = false;
            }
        } else if let Some(rest) = text.strip_prefix(')') {
            while let Some(operator) = waiting.pop()? {
                items.push(operator);
            }
            text = rest;
        } else {
            let operator = operator(&mut text)?;
            while let Some(Some(before)) = waiting.last()
                && priority(before) >= priority(&operator)
            {
                items.extend(waiting.pop().flatten());
            }
            waiting.push(Some(operator));
            operand_next = true;
        }
        text = text.trim_ascii_start();
    }
    while let Some(operator) = waiting.pop() {
        items.push(operator?);
    }
    (!operand_next).then_some(items)
}

fn priority(item: &Item) -> u8 {
    match item {
        Item::Or => 1,
        Item::And => 2,
        Item::Phrase(_) => 3,
        Item::Not | Item::Lexeme(..) => 4,
    }
}

fn operator(text: &mut &str) -> Option<Item> {
    for (sign, item) in [("&", Item::And), ("|", Item::Or), ("<->", Item::Phrase(1))] {
        if let Some(rest) = text.strip_prefix(sign) {
            *text = rest;
            return Some(item);
        }
    }
    let mut rest = text.strip_prefix('<')?;
    let (distance, _) = leading_digits(&mut rest, 5)?;
    *text = rest.strip_prefix('>')?;
    let distance = u16::try_from(distance).ok().filter(|_| distance <= MAX_DISTANCE)?;
    Some(Item::Phrase(distance))
}

fn operand(text: &mut &str) -> Option<Item> {
    let word = lexeme(text)?;
    let (mut weights, mut prefix) = (0, false);
    if let Some(rest) = text.strip_prefix(':') {
        *text = rest;
        loop {
            if let Some(rest) = text.strip_prefix('*') {
                *text = rest;
                prefix = true;
            } else if let Some(weight) = letter(text) {
                weights |= 1 << weight;
            } else {
                break;
            }
        }
        if weights == 0 && !prefix {
            return None;
        }
    }
    Some(Item::Lexeme(word, weights, prefix))
}

/// A weight by its letter.
fn letter(text: &mut &str) -> Option<u8> {
    let weight = match text.bytes().next()?.to_ascii_uppercase() {
        b'A' => 3,
        b'B' => 2,
        b'C' => 1,
        b'D' => 0,
        _ => return None,
    };
    *text = text.get(1..)?;
    Some(weight)
}

fn lexeme(text: &mut &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        *text = rest;
        return (!word.is_empty()).then(|| word.to_owned());
    };
    let mut word = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '\\' => word.push(chars.next()?),
            '\'' => match chars.as_str().strip_prefix('\'') {
                Some(rest) => {
                    word.push('\'');
                    chars = rest.chars();
                }
                None => break,
            },
            other => word.push(other),
        }
    }
    *text = chars.as_str();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::{Item, query, vector};

    #[test]
    fn lexemes_that_come_twice_are_one() {
        let found = vector("'b' a:2,1B 'it''s \\\\':16383A b:1 a:2C").unwrap();
        let shown: Vec<(&str, Vec<(u64, u8)>)> = found
            .iter()
            .map(|(word, positions)| (word.as_str(), positions.iter().map(|(p, w)| (*p, *w)).collect()))
            .collect();
        let expected = [
            ("a", vec![(1, 2), (2, 1)]),
            ("b", vec![(1, 0)]),
            ("it's \\", vec![(16_383, 3)]),
        ];
        assert_eq!(shown, expected);
        assert!(vector("  ").unwrap().is_empty());
        for wrong in ["''", "'a", "'a':", "'a':x", "'a'b", "a:1,", "a::1", "a-b", "'a':1AB"] {
            assert_eq!(vector(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn operators_bind_as_in_postgres() {
        let word = |word: &str| Item::Lexeme(word.to_owned(), 0, false);
        assert_eq!(
            query("a | !b & c <-> d <2> e").unwrap(),
            [
                word("a"),
                word("b"),
                Item::Not,
                word("c"),
                word("d"),
                Item::Phrase(1),
                word("e"),
                Item::Phrase(2),
                Item::And,
                Item::Or
            ]
        );
        assert_eq!(
            query("!( a & ( b ) )").unwrap(),
            [word("a"), word("b"), Item::And, Item::Not]
        );
        assert_eq!(
            query("'x y':*Ac").unwrap(),
            [Item::Lexeme("x y".to_owned(), 0b1010, true)]
        );
        assert_eq!(query(" "), Some(Vec::new()));
        for wrong in [
            "a b",
            "a &",
            "& a",
            "(a",
            "a)",
            "a:",
            "!",
            "()",
            "a <-2> b",
            "a <16385> b",
            "a < b",
            "a:*x",
        ] {
            assert_eq!(query(wrong), None, "{wrong}");
        }
    }
}
