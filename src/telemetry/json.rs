//! Log lines as the CloudQuery CLI reads them from a plugin's standard output: one JSON object per line, `level` in lower
//! case, `message`, `module`, `timestamp` (RFC 3339; the CLI adds a `time` of its own), then the event's fields; never more than
//! 4095 bytes, because the CLI throws longer lines away. What is too long is cut, and says so.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Bytes of a line, newline not counted.
const LINE_BYTES: usize = 4095;
/// Size with its name up to which a field is not cut.
const SHORT_BYTES: usize = 128;
/// Ends a text that was cut.
const CUT: &str = "... (cut)";

/// Formats events as JSON lines.
#[derive(Debug)]
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        writeln!(
            writer,
            "{}",
            line(
                level(*metadata.level()),
                metadata.target(),
                now(),
                fields.message,
                fields.others
            )
        )
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// The time of day in UTC.
fn now() -> String {
    let mut text = String::new();
    // A line without its time would still be worth having.
    let formatted = SystemTime.format_time(&mut Writer::new(&mut text));
    formatted.map_or_else(|_| String::new(), |()| text)
}

/// The line without its newline. Fields that do not fit are cut, then the message is, until it is short enough.
fn line(level: &str, module: &str, timestamp: String, message: String, others: Vec<(String, Value)>) -> String {
    let mut object = Map::new();
    object.insert("level".to_owned(), level.into());
    object.insert("module".to_owned(), module.into());
    object.insert("timestamp".to_owned(), timestamp.into());
    object.insert("message".to_owned(), shortened(message, LINE_BYTES / 2).into());
    let named = others
        .into_iter()
        .map(|(name, value)| match object.contains_key(&name) {
            // The keys of every line keep their meaning.
            true => (format!("field_{name}"), value),
            false => (name, value),
        });
    let size = |(name, value): &(String, Value)| name.len() + 4 + value.to_string().len();
    let (long, short): (Vec<_>, Vec<_>) = named.partition(|field| size(field) > SHORT_BYTES);
    let taken = Value::Object(object.clone()).to_string().len() + short.iter().map(size).sum::<usize>();
    // What is left is for the long ones, in equal parts.
    let part = LINE_BYTES.saturating_sub(taken) / long.len().max(1);
    let cut = long.into_iter().map(|(name, value)| match value {
        Value::String(text) => {
            let frame = name.len() + 6;
            let text = shortened(text, part.saturating_sub(frame));
            (name, text.into())
        }
        other => (name, other),
    });
    let mut full = Value::Object(object.clone()).to_string().len();
    for field in short.into_iter().chain(cut) {
        let added = size(&field);
        if full + added <= LINE_BYTES {
            full += added;
            object.insert(field.0, field.1);
        }
    }
    Value::Object(object).to_string()
}

/// A text that takes at most so many bytes between the quotes of JSON. What goes, goes from its
/// end.
fn shortened(text: String, bytes: usize) -> String {
    let cost = |text: &str| Value::from(text).to_string().len().saturating_sub(2);
    if cost(&text) <= bytes {
        return text;
    }
    let mut kept = text.chars().count();
    loop {
        let cut: String = text.chars().take(kept).chain(CUT.chars()).collect();
        if cost(&cut) <= bytes || kept == 0 {
            return cut;
        }
        // By a tenth, so that not much more goes than has to.
        kept -= kept.div_ceil(10);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            // Events of the `log` crate carry their origin in fields of this prefix.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> Vec<String> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(JsonLine)
            .with_max_level(Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_one_object_with_level_message_and_fields() {
        let lines = logged(|| tracing::warn!(row_count = 3, table = "a\nb", level = "x", "stream ended"));
        let mut value: Value = serde_json::from_str(&lines[0]).unwrap();
        let timestamp = value.as_object_mut().unwrap().remove("timestamp").unwrap();
        let timestamp = timestamp.as_str().unwrap();
        assert!(
            timestamp.len() == 27 && timestamp.ends_with('Z') && timestamp.as_bytes()[10] == b'T',
            "{timestamp}"
        );
        assert_eq!(
            value,
            serde_json::json!({
                "level": "warn", "message": "stream ended", "module": "pgflight::telemetry::json::tests",
                "row_count": 3, "table": "a\nb", "field_level": "x",
            })
        );
    }

    #[test]
    fn a_line_never_exceeds_what_the_cli_reads() {
        for text in ["x".repeat(10_000), "\u{1}".repeat(5_000), "ä\"".repeat(4_000)] {
            let lines = logged(|| tracing::error!(extra = text, short = 1, "{text}"));
            assert_eq!(lines.len(), 1);
            assert!(lines[0].len() < 4096, "{}", lines[0].len());
            let value: Value = serde_json::from_str(&lines[0]).unwrap();
            assert!(value["message"].as_str().unwrap().ends_with(CUT));
            assert!(
                value["extra"].as_str().unwrap().ends_with(CUT),
                "a long error is cut and does not vanish"
            );
            assert_eq!((&value["level"], &value["short"]), (&"error".into(), &1.into()));
        }
    }
}
