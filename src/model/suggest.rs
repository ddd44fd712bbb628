//! "Did you mean": the known name closest to one that is not known.
//!
//! Used for configuration keys, stream options and enumerated values alike, so that all of them answer a typing error
//! in the same way. Pure.

/// The candidate that a typing error most likely meant, or `None` when nothing is close.
///
/// Case and the difference between `-` and `_` do not count: `Write-Mode` means `write_mode`.
pub fn closest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = plain(found);
    let mut best: Option<(&str, f64)> = None;
    for candidate in candidates {
        let score = strsim::jaro_winkler(&found, &plain(candidate));
        // Below 0.8 suggestions start to look arbitrary ("port" for "pool").
        if score >= 0.8 && best.is_none_or(|(_, top)| score > top) {
            best = Some((candidate, score));
        }
    }
    best.map(|(candidate, _)| candidate)
}

/// `; did you mean "x"?`, or nothing.
pub fn hint<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(found, candidates)
        .map(|candidate| format!("; did you mean {candidate:?}?"))
        .unwrap_or_default()
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_the_name_that_was_meant() {
        let names = ["write_mode", "migrate_mode", "primary_key", "lanes"];
        assert_eq!(closest("wirte_mode", names), Some("write_mode"));
        assert_eq!(closest("Write-Mode", names), Some("write_mode"));
        assert_eq!(closest("primarykey", names), Some("primary_key"));
        assert_eq!(closest("zzz", names), None);
    }
}
