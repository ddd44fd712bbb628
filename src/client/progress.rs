//! How far a load has come, and how that is shown: a bar on a terminal, a line every few seconds otherwise.
//!
//! Everything is written to standard error; standard output is left to results.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

const BAR_INTERVAL: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Counters of one load, written by the threads that do the work.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows handed to the network.
    pub rows: AtomicU64,
    /// Arrow bytes handed to the network.
    pub bytes: AtomicU64,
    /// Bytes read from the inputs, compressed as they are.
    pub input_bytes: Arc<AtomicU64>,
    /// Whether the last message, the commit message, is on its way.
    pub all_sent: AtomicBool,
}

/// What is known about the end in advance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// Rows.
    pub rows: Option<u64>,
    /// Bytes of all inputs.
    pub input_bytes: Option<u64>,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    /// A bar that is redrawn.
    Bar,
    /// A line every few seconds.
    Lines,
    /// Nothing.
    Silent,
}

impl Display {
    /// A bar if standard error is a terminal, lines otherwise.
    pub fn for_stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bar
        } else {
            Self::Lines
        }
    }
}

/// Shows `progress` until it is dropped or `finish` is called.
#[derive(Debug)]
pub struct Shown {
    task: tokio::task::JoinHandle<()>,
    bar: ProgressBar,
}

impl Shown {
    /// Starts showing. Must be called within a Tokio runtime.
    pub fn start(label: String, progress: Arc<Progress>, expected: Expected, display: Display) -> Self {
        let bar = bar(label.clone(), expected, display);
        let task = tokio::spawn({
            let bar = bar.clone();
            async move {
                match display {
                    Display::Bar => redraw(&bar, &progress, expected).await,
                    Display::Lines => print_lines(&label, &progress, expected).await,
                    Display::Silent => {}
                }
            }
        });
        Self { task, bar }
    }

    /// Stops showing and removes the bar.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.task.abort();
        self.bar.finish_and_clear();
    }
}

fn bar(label: String, expected: Expected, display: Display) -> ProgressBar {
    if display != Display::Bar {
        return ProgressBar::hidden();
    }
    // Thousandths of the whole: rows where their number is known, input bytes otherwise.
    let known = expected.rows.or(expected.input_bytes).is_some();
    let template = if known {
        "{prefix} [{bar:30}] {percent:>3}% {msg}"
    } else {
        "{prefix} {spinner} {msg}"
    };
    let bar = ProgressBar::with_draw_target(known.then_some(1000), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix(label);
    bar
}

async fn redraw(bar: &ProgressBar, progress: &Progress, expected: Expected) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(BAR_INTERVAL);
    loop {
        ticks.tick().await;
        bar.set_message(counts(progress, started.elapsed()));
        match thousandths(progress, expected) {
            Some(done) => bar.set_position(done),
            None => bar.tick(),
        }
    }
}

async fn print_lines(label: &str, progress: &Progress, expected: Expected) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + LINE_INTERVAL, LINE_INTERVAL);
    loop {
        ticks.tick().await;
        let done = thousandths(progress, expected).map_or(String::new(), |done| format!(" ({} %)", done / 10));
        eprintln!("{label}: {}{done}", counts(progress, started.elapsed()));
    }
}

fn counts(progress: &Progress, elapsed: Duration) -> String {
    if progress.all_sent.load(Ordering::Acquire) {
        let rows = HumanCount(progress.rows.load(Ordering::Relaxed));
        return format!("{rows} rows sent, waiting for the server to commit");
    }
    totals(
        progress.rows.load(Ordering::Relaxed),
        progress.bytes.load(Ordering::Relaxed),
        elapsed,
    )
}

/// `1,000 rows, 12.3 MiB, 500 rows/s`.
pub(crate) fn totals(rows: u64, bytes: u64, elapsed: Duration) -> String {
    let rate = HumanCount(per_second(rows, elapsed));
    format!("{} rows, {}, {rate} rows/s", HumanCount(rows), HumanBytes(bytes))
}

/// `count` per second, rounded down; the count itself for a time of zero.
pub(crate) fn per_second(count: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

fn thousandths(progress: &Progress, expected: Expected) -> Option<u64> {
    let (done, whole) = match (expected.rows, expected.input_bytes) {
        (Some(rows), _) => (progress.rows.load(Ordering::Relaxed), rows),
        (None, Some(bytes)) => (progress.input_bytes.load(Ordering::Relaxed), bytes),
        (None, None) => return None,
    };
    Some((u128::from(done) * 1000 / u128::from(whole.max(1))).min(1000) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_done_prefers_rows_and_never_passes_the_whole() {
        let progress = Progress::default();
        progress.rows.store(50, Ordering::Relaxed);
        progress.input_bytes.store(900, Ordering::Relaxed);
        let expected = |rows, input_bytes| Expected { rows, input_bytes };
        assert_eq!(thousandths(&progress, expected(Some(200), Some(1000))), Some(250));
        assert_eq!(thousandths(&progress, expected(None, Some(1000))), Some(900));
        assert_eq!(thousandths(&progress, expected(Some(10), None)), Some(1000));
        assert_eq!(thousandths(&progress, expected(Some(0), None)), Some(1000));
        assert_eq!(thousandths(&progress, expected(None, None)), None);
    }

    #[test]
    fn totals_are_readable() {
        assert_eq!(
            totals(1_000_000, 3 << 20, Duration::from_secs(2)),
            "1,000,000 rows, 3.00 MiB, 500,000 rows/s"
        );
    }
}
