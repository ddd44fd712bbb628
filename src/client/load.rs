//! `pgflight load`: files, globs or standard input into one table of a server.
//!
//! Reads what `formats` can read, sends it with `put`, shows progress, prints one summary. Ctrl-C drops the call, which
//! makes the server roll an atomic load back. Starting a server in this process is not this module's business: it takes
//! an [`Endpoint`], which may be a connection that exists already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::connect::{ConnectError, Connection, Endpoint};
use super::progress::{self, Display, Expected, Progress, Shown};
use super::put::{self, PutError, PutOutcome, PutRequest};
use crate::formats::{self, Format, Input, Source, SourceError, TextOptions};

/// What to load, and where to.
#[derive(Clone, Debug)]
pub struct LoadArgs {
    /// Files, globs, or `-` alone for standard input.
    pub inputs: Vec<String>,
    /// Overrides what the inputs' bytes and names say.
    pub format: Option<Format>,
    /// How text formats are read.
    pub text: TextOptions,
    /// Table and options.
    pub request: PutRequest,
    /// How progress is shown.
    pub display: Display,
    /// Print the summary as JSON instead of a sentence.
    pub json: bool,
}

/// What was loaded.
#[derive(Clone, Debug)]
pub struct LoadSummary {
    /// Number of inputs.
    pub files: usize,
    /// Time from the first look at the inputs to the server's final result.
    pub elapsed: Duration,
    /// What was sent, and the server's result.
    pub outcome: PutOutcome,
    /// The table as the user named it, used where the result does not name it.
    pub table: String,
    /// What the user probably meant instead.
    pub hint: Option<String>,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The inputs cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Sending failed.
    #[error(transparent)]
    Put(#[from] PutError),
    /// Sending failed, and the input looks as if it was read in another way than it was meant.
    #[error("{error}; {hint}")]
    Hinted {
        /// The failure.
        error: PutError,
        /// What to try.
        hint: String,
    },
    /// The user stopped it.
    #[error("interrupted; an atomic load leaves the table as it was")]
    Interrupted,
    /// The reading thread could not be started or died.
    #[error("the thread that reads the input stopped unexpectedly")]
    ReaderDied,
}

impl LoadError {
    /// The process's exit code: 130 when interrupted (128 + SIGINT), 2 where the command line is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Connect(ConnectError::Address { .. } | ConnectError::Token) => 2,
            Self::Source(error) if error.is_usage() => 2,
            _ => 1,
        }
    }
}

/// Loads, and prints the summary to standard output. Ctrl-C ends it with [`LoadError::Interrupted`].
pub async fn run(args: LoadArgs, to: Endpoint) -> Result<LoadSummary, LoadError> {
    let json = args.json;
    let summary = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => return Err(LoadError::Interrupted),
        summary = load(args, to) => summary?,
    };
    if json {
        println!("{}", summary.to_json());
    } else {
        println!("{summary}");
    }
    Ok(summary)
}

/// Loads without printing a summary and without listening to Ctrl-C. Dropping the future cancels the load.
pub async fn load(args: LoadArgs, to: Endpoint) -> Result<LoadSummary, LoadError> {
    let started = Instant::now();
    let inputs = formats::expand(&args.inputs)?;
    let files = inputs.len();
    let progress = Arc::new(Progress::default());
    let input_bytes = inputs.iter().map(Input::byte_count).sum::<Option<u64>>();
    // The server is asked first: a wrong address should not cost a look at every file.
    let connection = Connection::open(to).await?;
    let (source, rows) = open_on_a_thread(inputs, args.format, args.text, &progress).await?;
    let table = shown_table(&args.request);
    let expected = Expected { rows, input_bytes };
    let shown = Shown::start(table.clone(), Arc::clone(&progress), expected, args.display);
    let hint = source.hint().map(str::to_owned);
    let outcome = put::put(&connection, &args.request, source, &progress).await;
    shown.finish();
    let outcome = match (outcome, hint.clone()) {
        (Ok(outcome), _) => outcome,
        (Err(PutError::Refused(refusal)), hint) => {
            let error = PutError::Refused(connection.explained(refusal).await);
            return Err(match hint {
                Some(hint) => LoadError::Hinted { error, hint },
                None => error.into(),
            });
        }
        (Err(error), _) => return Err(error.into()),
    };
    Ok(LoadSummary {
        files,
        elapsed: started.elapsed(),
        outcome,
        table,
        hint,
    })
}

/// Opening looks at every input, which may block (standard input blocks for as long as its writer likes).
async fn open_on_a_thread(
    inputs: Vec<Input>,
    format: Option<Format>,
    text: TextOptions,
    progress: &Progress,
) -> Result<(Source, Option<u64>), LoadError> {
    let (done, opened) = tokio::sync::oneshot::channel();
    let bytes_read = Arc::clone(&progress.input_bytes);
    let work = move || done.send(formats::open(inputs, format, &text, &bytes_read)).ok();
    std::thread::Builder::new()
        .name("pgflight-open".to_owned())
        .spawn(work)
        .map_err(|_| LoadError::ReaderDied)?;
    Ok(opened.await.map_err(|_| LoadError::ReaderDied)??)
}

fn shown_table(request: &PutRequest) -> String {
    match &request.schema {
        Some(schema) => format!("{schema}.{}", request.table),
        None => request.table.clone(),
    }
}

impl LoadSummary {
    /// The table as the server names it.
    pub fn table(&self) -> &str {
        self.outcome
            .result
            .get("table")
            .and_then(Value::as_str)
            .unwrap_or(&self.table)
    }

    fn count(&self, key: &str) -> Option<u64> {
        self.outcome.result.get(key).and_then(Value::as_u64)
    }

    /// Rows that are in the table: what was sent without what was rejected.
    pub fn rows(&self) -> u64 {
        self.count("rows").unwrap_or(self.outcome.rows)
    }

    /// Rows that were rejected.
    pub fn rejected(&self) -> u64 {
        self.count("rejected").unwrap_or(0)
    }

    /// One JSON object: `table`, `files`, `rows`, `rejected`, `bytes`, `seconds`, `rows_per_second`, `result` (the server's own), and
    /// `hint` where there is one.
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "table": self.table(),
            "files": self.files,
            "rows": self.rows(),
            "rejected": self.rejected(),
            "bytes": self.outcome.bytes,
            "seconds": self.elapsed.as_millis() as f64 / 1000.0,
            "rows_per_second": progress::per_second(self.outcome.rows, self.elapsed),
            "result": self.outcome.result,
        });
        if let Some(hint) = &self.hint {
            object["hint"] = json!(hint);
        }
        object
    }
}

impl std::fmt::Display for LoadSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = if self.files == 1 {
            "1 input".to_owned()
        } else {
            format!("{} inputs", self.files)
        };
        let (table, seconds) = (self.table(), self.elapsed.as_secs_f64());
        match (self.rows(), self.rejected()) {
            (0, rejected) if rejected > 0 => write!(
                f,
                "no row of {files} was loaded into {table}: all {rejected} were rejected, in {seconds:.1} s"
            )?,
            (rows, rejected) => {
                let totals = progress::totals(rows, self.outcome.bytes, self.elapsed);
                write!(f, "loaded {table} from {files}: {totals} in {seconds:.1} s")?;
                if rejected > 0 {
                    write!(f, "; {rejected} rows were rejected")?;
                }
            }
        }
        match self.count("suppressed") {
            Some(rows) if rows > 0 => write!(f, "; {rows} rows were left out by a trigger")?,
            _ => {}
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(result: Value) -> LoadSummary {
        let outcome = PutOutcome {
            rows: 1500,
            bytes: 4 << 20,
            result,
        };
        LoadSummary {
            files: 2,
            elapsed: Duration::from_millis(1500),
            outcome,
            table: "t".to_owned(),
            hint: None,
        }
    }

    #[test]
    fn the_summary_is_one_sentence_or_one_object() {
        let stored = summary(json!({"table": "public.t", "rows": 1499, "rejected": 1}));
        let sentence = "loaded public.t from 2 inputs: 1,499 rows, 4.00 MiB, 999 rows/s in 1.5 s; 1 rows were rejected";
        assert_eq!(stored.to_string(), sentence);
        let expected = json!({
            "table": "public.t", "files": 2, "rows": 1499, "rejected": 1, "bytes": 4_194_304, "seconds": 1.5, "rows_per_second": 1000,
            "result": {"table": "public.t", "rows": 1499, "rejected": 1},
        });
        assert_eq!(stored.to_json(), expected);
        assert_eq!(summary(json!({})).table(), "t");
        let none = summary(json!({"table": "public.t", "rows": 0, "rejected": 1500}));
        assert_eq!(
            none.to_string(),
            "no row of 2 inputs was loaded into public.t: all 1500 were rejected, in 1.5 s"
        );
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_fails_before_the_inputs_are_read() {
        let args = |input: &str| LoadArgs {
            inputs: vec![input.to_owned()],
            format: None,
            text: TextOptions::default(),
            request: PutRequest::default(),
            display: Display::Silent,
            json: false,
        };
        let nowhere = || Endpoint::Server(crate::client::connect::Server::at("grpc://127.0.0.1:1"));
        let error = load(args("-"), nowhere()).await.unwrap_err();
        assert!(matches!(error, LoadError::Connect(_)), "{error:?}");
        assert_eq!(error.exit_code(), 1);
        let error = load(args("/nowhere/*.csv"), nowhere()).await.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(LoadError::Interrupted.exit_code(), 130);
    }
}
