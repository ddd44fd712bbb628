//! What a SQLSTATE means for us: its failure class and what may be done about it. Exact codes before classes, total.
//!
//! Source: Postgres' `errcodes.txt` (Appendix A of its manual). Decision only; waiting and trying again is `retry`'s.

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
    /// The outcome of COMMIT is not known.
    Unknown,
}

/// Class and remedy of a five-letter code.
pub fn verdict(code: &str) -> (Class, Remedy) {
    exact(code).unwrap_or_else(|| by_class(code))
}

fn exact(code: &str) -> Option<(Class, Remedy)> {
    Some(match code {
        "40001" | "40P01" => (Class::Conflict, Remedy::Again),
        "40003" | "08007" => (Class::Unavailable, Remedy::Unknown),
        "08P01" => (Class::Internal, Remedy::None),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => (Class::Unavailable, Remedy::Reconnect),
        "57014" => (Class::Timeout, Remedy::None),
        "25006" => (Class::Unavailable, Remedy::Reconnect),
        "53300" | "53400" => (Class::Exhausted, Remedy::Reconnect),
        "55P03" | "55006" => (Class::Conflict, Remedy::Again),
        "42P01" | "42703" => (Class::NotFound, Remedy::Replan),
        "42804" => (Class::Refused, Remedy::Replan),
        "3F000" | "3D000" => (Class::NotFound, Remedy::None),
        "42P07" | "42710" | "42P06" => (Class::AlreadyExists, Remedy::Replan),
        "42701" => (Class::AlreadyExists, Remedy::None),
        "42501" => (Class::Denied, Remedy::None),
        "23505" => (Class::AlreadyExists, Remedy::None),
        // Wrong binary image: the encoder or a stale OID is at fault, never the row.
        "22P03" | "22P04" | "21000" => (Class::Internal, Remedy::None),
        _ => return None,
    })
}

fn by_class(code: &str) -> (Class, Remedy) {
    match code.get(..2).unwrap_or_default() {
        "08" => (Class::Unavailable, Remedy::Reconnect),
        "0A" => (Class::Unsupported, Remedy::None),
        "22" => (Class::BadData, Remedy::None),
        "23" => (Class::Refused, Remedy::None),
        "28" => (Class::Internal, Remedy::None),
        "40" => (Class::Conflict, Remedy::Again),
        "42" | "44" => (Class::Refused, Remedy::None),
        "53" => (Class::Exhausted, Remedy::None),
        "54" => (Class::BadData, Remedy::None),
        "55" => (Class::Refused, Remedy::None),
        "57" => (Class::Unavailable, Remedy::None),
        _ => (Class::Internal, Remedy::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_codes_win_over_their_class() {
        assert_eq!(verdict("40P01"), (Class::Conflict, Remedy::Again));
        assert_eq!(verdict("23505"), (Class::AlreadyExists, Remedy::None));
        assert_eq!(verdict("23514"), (Class::Refused, Remedy::None));
        assert_eq!(verdict("22P03"), (Class::Internal, Remedy::None));
        assert_eq!(verdict("22003"), (Class::BadData, Remedy::None));
        assert_eq!(verdict("57014"), (Class::Timeout, Remedy::None));
    }

    #[test]
    fn every_text_has_a_verdict() {
        for code in ["", "x", "é", "ZZZZZ", "00000", "XX001"] {
            assert_eq!(verdict(code), (Class::Internal, Remedy::None), "{code}");
        }
    }
}
