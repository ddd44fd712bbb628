//! Log lines as the CloudQuery CLI reads them from a plugin's standard output: one JSON object per line, `level` in lower
//! case, `message`, `module`, then the event's fields; never more than 4095 bytes, because the CLI throws longer lines away.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Bytes of a line, newline not counted.
const LINE_BYTES: usize = 4095;
/// Ends a message that was cut.
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

/// The line without its newline; fields are left out from the end, then the message is cut, until it is short enough.
fn line(level: &str, module: &str, message: String, others: Vec<(String, Value)>) -> String {
    let mut object = Map::new();
    object.insert("level".to_owned(), level.into());
    object.insert("module".to_owned(), module.into());
    object.insert("message".to_owned(), message.clone().into());
    for (name, value) in others {
        // The three keys of every line keep their meaning.
        let name = if object.contains_key(&name) {
            format!("field_{name}")
        } else {
            name
        };
        let size = |value: &Value| value.to_string().len();
        let full = object
            .iter()
            .map(|(name, value)| name.len() + size(value) + 4)
            .sum::<usize>();
        if full + name.len() + size(&value) + 5 > LINE_BYTES {
            continue;
        }
        object.insert(name, value);
    }
    let mut kept = message;
    loop {
        let text = Value::Object(object.clone()).to_string();
        if text.len() <= LINE_BYTES {
            return text;
        }
        // Halving reaches any size in a few steps, whatever the escapes cost.
        let half = kept.chars().count() / 2;
        kept = kept.chars().take(half).collect();
        object.insert("message".to_owned(), format!("{kept}{CUT}").into());
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
        let value: Value = serde_json::from_str(&lines[0]).unwrap();
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
            assert_eq!(value["level"], "error");
        }
    }
}
