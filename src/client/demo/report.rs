//! What the demo prints: a table of what was loaded and how fast, and how to look at it.
//!
//! Texts only; the one look at the disk is whether the cluster brought a `psql`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use indicatif::HumanCount;

use super::TableLoaded;
use crate::client::progress::per_second;

/// A table with one line per loaded table and one for all of them. MB are 10^6 bytes of Arrow data.
pub fn table_text(tables: &[TableLoaded]) -> String {
    let mut text = line(["table", "rows", "seconds", "rows/s", "MB/s"].map(str::to_owned));
    for table in tables {
        text += &numbers(table.name, table.rows, table.bytes, table.elapsed);
    }
    let rows = tables.iter().map(|table| table.rows).sum();
    let bytes = tables.iter().map(|table| table.bytes).sum();
    let elapsed = tables.iter().map(|table| table.elapsed).sum();
    text + &numbers("all", rows, bytes, elapsed)
}

fn numbers(name: &str, rows: u64, bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    line([
        name.to_owned(),
        HumanCount(rows).to_string(),
        format!("{seconds:.2}"),
        HumanCount(per_second(rows, elapsed)).to_string(),
        format!("{:.1}", per_second(bytes, elapsed) as f64 / 1e6),
    ])
}

fn line([name, rest @ ..]: [String; 5]) -> String {
    let mut text = format!("  {name:<10}");
    for cell in rest {
        // Writing to a String cannot fail.
        write!(text, "{cell:>14}").ok();
    }
    text.push('\n');
    text
}

/// How to look at the rows while the cluster is up: with the `psql` that came with it, if it brought one.
pub fn connect_text(bin_dir: &Path, uri: &str) -> String {
    let own = bin_dir.join("psql");
    let psql = if own.exists() {
        own.display().to_string()
    } else {
        "psql".to_owned()
    };
    format!("Look around while it is up:\n\n  {psql} '{uri}'\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_one_line_per_table_and_a_sum() {
        let table = |name, rows, seconds| TableLoaded {
            name,
            rows,
            bytes: 1_000_000 * seconds,
            elapsed: Duration::from_secs(seconds),
        };
        let text = table_text(&[table("lineitem", 600_572, 2), table("orders", 150_000, 1)]);
        let expected = "  table               rows       seconds        rows/s          MB/s\n  \
                        lineitem         600,572          2.00       300,286           1.0\n  \
                        orders           150,000          1.00       150,000           1.0\n  \
                        all              750,572          3.00       250,190           1.0\n";
        assert_eq!(text, expected);
    }
}
