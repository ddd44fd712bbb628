//! What a SQLSTATE means for us: its failure class and what may be done about it. Exact codes before classes, total.
//!
//! Source: Postgres' `errcodes.txt` (Appendix A of its manual). Decision only; waiting and trying again is `load::retry`'s.

use crate::model::class::Class;

/// What may heal a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing; the same transaction would fail again.
    None,
    /// Run the same transaction again: another one was in the way.
    Again,
    /// Get another connection, then run it again; the transaction was certainly not applied.
    Reconnect,
    /// The table changed under us: read the catalog again, plan again, run it again once.
    Replan,
    /// The transaction was too large for a limit: run it in two halves.
    Halve,
    /// The server lacks something that comes back by itself or by an operator (disk, connections): stop reading, try
    /// again seldom.
    Wait,
    /// The outcome of COMMIT is not known.
    Unknown,
}

/// Class and remedy of a five-letter code.
pub fn verdict(code: &str) -> (Class, Remedy) {
    exact(code).unwrap_or_else(|| by_class(code))
}

/// Whether the server behind every connection of the pool has stopped taking writes: a primary that was demoted.
pub fn poisons_pool(code: &str) -> bool {
    code == "25006"
}

/// Whether prepared statements went to another server session than ours: a pooler in transaction mode that does not
/// track them.
pub fn betrays_pooler(code: &str) -> bool {
    matches!(code, "26000" | "42P05")
}

fn exact(code: &str) -> Option<(Class, Remedy)> {
    Some(match code {
        "40000" | "40001" | "40P01" => (Class::Conflict, Remedy::Again),
        "40002" => (Class::Refused, Remedy::None),
        "40003" | "08007" => (Class::Unavailable, Remedy::Unknown),
        "08P01" => (Class::Internal, Remedy::None),
        // Starting up (57P03) and the ends of a session: another connection, as soon as there is one.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => (Class::Unavailable, Remedy::Reconnect),
        "57P04" => (Class::NotFound, Remedy::None),
        // Our own statement_timeout, or an operator: the retry engine tells them apart by the time that passed.
        "57014" => (Class::Timeout, Remedy::Halve),
        "25006" => (Class::Unavailable, Remedy::Reconnect),
        "53000" | "53100" | "53300" | "53400" => (Class::Exhausted, Remedy::Wait),
        "53200" => (Class::Exhausted, Remedy::Halve),
        "55P03" | "55006" => (Class::Conflict, Remedy::Again),
        "55000" => (Class::Refused, Remedy::Again),
        "42P01" | "42703" => (Class::NotFound, Remedy::Replan),
        // Also the unique index that rows were matched by may be gone (42P10).
        "42804" | "42P10" => (Class::Refused, Remedy::Replan),
        "3F000" | "3D000" => (Class::NotFound, Remedy::None),
        "42P07" | "42710" | "42P06" => (Class::AlreadyExists, Remedy::Replan),
        "42701" => (Class::AlreadyExists, Remedy::None),
        "42501" => (Class::Denied, Remedy::None),
        "23505" => (Class::AlreadyExists, Remedy::None),
        "26000" | "42P05" => (Class::Internal, Remedy::None),
        // Wrong binary image: the encoder or a stale OID is at fault, never the row.
        "22P03" | "22P04" | "21000" => (Class::Internal, Remedy::None),
        "72000" => (Class::Conflict, Remedy::Again),
        _ => return None,
    })
}

fn by_class(code: &str) -> (Class, Remedy) {
    match code.get(..2).unwrap_or_default() {
        "08" => (Class::Unavailable, Remedy::Reconnect),
        "0A" => (Class::Unsupported, Remedy::None),
        "0L" | "0P" => (Class::Denied, Remedy::None),
        "22" => (Class::BadData, Remedy::None),
        // Constraints, a view's check option, and what triggers and functions of the table raise.
        "23" | "27" | "44" | "09" | "2F" | "38" | "39" | "P0" => (Class::Refused, Remedy::None),
        "28" => (Class::Internal, Remedy::None),
        "40" => (Class::Conflict, Remedy::Again),
        "42" | "HV" => (Class::Refused, Remedy::None),
        "53" => (Class::Exhausted, Remedy::Wait),
        "54" => (Class::BadData, Remedy::None),
        "55" => (Class::Refused, Remedy::None),
        "57" => (Class::Unavailable, Remedy::None),
        _ => (Class::Internal, Remedy::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// `code class remedy`, every code of Postgres 18's `errcodes.txt`, decided line by line from its meaning.
    const TABLE: &str = include_str!("state/codes.txt");

    fn table() -> BTreeMap<&'static str, (&'static str, &'static str)> {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let fields = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        fields.map(|fields| (fields[0], (fields[1], fields[2]))).collect()
    }

    #[test]
    fn every_code_of_postgres_has_the_decided_class_and_remedy() {
        let table = table();
        assert_eq!(table.len(), 263, "codes of errcodes.txt, of 16 and 18");
        for (code, decided) in table {
            let (class, remedy) = verdict(code);
            let found = (format!("{class:?}"), format!("{remedy:?}"));
            assert_eq!((found.0.as_str(), found.1.as_str()), decided, "{code}");
        }
    }

    #[test]
    fn exact_codes_win_over_their_class() {
        assert_eq!(verdict("40P01"), (Class::Conflict, Remedy::Again));
        assert_eq!(verdict("23505"), (Class::AlreadyExists, Remedy::None));
        assert_eq!(verdict("23514"), (Class::Refused, Remedy::None));
        assert_eq!(verdict("22P03"), (Class::Internal, Remedy::None));
        assert_eq!(verdict("22003"), (Class::BadData, Remedy::None));
    }

    #[test]
    fn every_text_has_a_verdict() {
        for code in ["", "x", "é", "ZZZZZ", "00000", "XX001"] {
            assert_eq!(verdict(code), (Class::Internal, Remedy::None), "{code}");
        }
    }
}
