//! Which rows are tried next when Postgres refused some of those that were tried together. A state machine without I/O.
//!
//! Postgres stops at the first bad row. Where it says which one, the rows before it are tried again, the row is left out, and
//! the rest is taken in pieces that grow for as long as nothing is bad. Where it does not say, the piece is halved. A bad row
//! costs at most four times the way from the bad row before it where rows are named, and a logarithm of tries otherwise;
//! good rows that lie far from bad ones are tried twice at most.

use std::ops::Range;

/// Rows tried at once at least, behind a row that was named.
const LEAST: u64 = 64;

/// The rows that are still to be tried.
#[derive(Debug)]
pub(super) struct Sieve {
    /// What waits, the next piece last.
    todo: Vec<Range<u64>>,
    /// Rows that may be tried at once.
    window: u64,
}

impl Sieve {
    /// All of them at once.
    pub(super) fn over(rows: Range<u64>) -> Self {
        let mut sieve = Self {
            todo: Vec::new(),
            window: u64::MAX,
        };
        sieve.push(rows);
        sieve
    }

    /// The rows to try next, always behind those that were tried before or a part of what failed.
    pub(super) fn next(&mut self) -> Option<Range<u64>> {
        let piece = self.todo.pop()?;
        let end = piece.start.saturating_add(self.window).min(piece.end);
        self.push(end..piece.end);
        Some(piece.start..end)
    }

    /// What was tried is stored.
    pub(super) fn passed(&mut self) {
        self.window = self.window.saturating_mul(2);
    }

    /// What was tried was refused, and nothing of it is stored; `at` is the row that Postgres named. Returns the bad row,
    /// where it is known now; it is not tried again.
    pub(super) fn failed(&mut self, tried: Range<u64>, at: Option<u64>) -> Option<u64> {
        let rows = tried.end.saturating_sub(tried.start);
        let named = at.filter(|at| tried.contains(at));
        let bad = if rows == 1 { Some(tried.start) } else { named };
        match bad {
            Some(bad) => {
                self.window = (bad - tried.start).saturating_mul(2).max(LEAST);
                self.push(bad + 1..tried.end);
                self.push(tried.start..bad);
            }
            None => {
                let middle = tried.start + rows / 2;
                self.window = (rows / 2).max(1);
                self.push(middle..tried.end);
                self.push(tried.start..middle);
            }
        }
        bad
    }

    fn push(&mut self, rows: Range<u64>) {
        if !rows.is_empty() {
            self.todo.push(rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that refuses some rows: what came of all, how many tries that took, and how many rows were sent.
    fn sift(rows: u64, bad: &[u64], names: bool) -> (Vec<u64>, Vec<u64>, u64, u64) {
        let mut sieve = Sieve::over(0..rows);
        let (mut stored, mut rejected) = (Vec::new(), Vec::new());
        let (mut tries, mut sent) = (0, 0);
        while let Some(tried) = sieve.next() {
            tries += 1;
            sent += tried.end - tried.start;
            match bad.iter().find(|bad| tried.contains(bad)) {
                None => {
                    stored.extend(tried);
                    sieve.passed();
                }
                Some(first) => rejected.extend(sieve.failed(tried, names.then_some(*first))),
            }
        }
        (stored, rejected, tries, sent)
    }

    #[test]
    fn good_rows_are_stored_in_order_and_exactly_the_bad_ones_are_left_out() {
        for rows in [0, 1, 2, 3, 10, 100, 1000] {
            let some: Vec<u64> = [0, 1, 63, 64, 65, 500, 998, 999]
                .into_iter()
                .filter(|row| *row < rows)
                .collect();
            let last: Vec<u64> = rows.checked_sub(1).into_iter().collect();
            let every: Vec<u64> = (0..rows).collect();
            for bad in [&[][..], &some, &last, &every] {
                for names in [true, false] {
                    let (stored, rejected, _, _) = sift(rows, bad, names);
                    let good: Vec<u64> = (0..rows).filter(|row| !bad.contains(row)).collect();
                    assert_eq!(stored, good, "{rows} rows without {bad:?}, named: {names}");
                    assert_eq!(rejected, bad, "{rows} rows, named: {names}");
                }
            }
        }
    }

    #[test]
    fn one_try_is_enough_where_nothing_is_bad_and_the_cost_of_bad_rows_is_bounded() {
        let rows = 50_000;
        assert_eq!(sift(rows, &[], false).2, 1);
        let scattered: Vec<u64> = (0..100).map(|number| number * 499 + 7).collect();
        let (_, _, tries, sent) = sift(rows, &scattered, true);
        assert!(tries <= 4 * 100 && sent <= 8 * rows, "{tries} tries, {sent} rows");
        let (_, _, tries, sent) = sift(rows, &scattered, false);
        assert!(tries <= 30 * 100 && sent <= 20 * rows, "{tries} tries, {sent} rows");
        let every: Vec<u64> = (0..1000).collect();
        let (_, _, tries, sent) = sift(rows, &every, true);
        assert!(tries <= 1100 && sent <= 4 * rows, "{tries} tries, {sent} rows");
    }

    #[test]
    fn a_row_named_outside_of_what_was_tried_is_not_believed() {
        let mut sieve = Sieve::over(0..10);
        let tried = sieve.next().unwrap();
        assert_eq!(sieve.failed(tried, Some(10)), None);
        assert_eq!(sieve.next(), Some(0..5));
    }
}
