//! `pgflight plan`: the schema of a file, or of a table of another server, and what a table would need for it.
//!
//! Makes the body of the action `pgflight.migrate`, sends it where a server is to be asked, and shows the answer. Rows are
//! read only as far as finding types takes, and none is sent.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::{Action, FlightDescriptor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use serde_json::{Value, json};

use super::connect::{ConnectError, Connection, Endpoint, Server};
use super::put::Refusal;
use crate::formats::{self, Format, SourceError, TextOptions};
use crate::model::ident::TableName;
use crate::model::migration::{MigrationReport, StepReport};
use crate::model::options::StreamOptions;

/// The action that plans.
pub const ACTION: &str = "pgflight.migrate";

/// What to plan.
#[derive(Clone, Debug)]
pub struct PlanArgs {
    /// File, glob, `-`, or `grpc://host:port/[schema/]table`.
    pub source: String,
    /// Bearer token for the server of such an address.
    pub token: Option<String>,
    /// Authorities to trust there.
    pub ca_file: Option<PathBuf>,
    /// Overrides what the file's bytes and name say.
    pub format: Option<Format>,
    /// How text formats are read.
    pub text: TextOptions,
    /// The table.
    pub table: TableName,
    /// Options of the load that is planned, as far as they were set.
    pub options: StreamOptions,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The file cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The address names no table.
    #[error("{uri:?} names no table; write grpc://host:port/table or grpc://host:port/schema/table")]
    NoTable {
        /// The address as given.
        uri: String,
    },
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The schema cannot be sent, or what came is none.
    #[error("the schema cannot be used: {0}")]
    Schema(#[from] ArrowError),
    /// The answer was not understood.
    #[error("the server's answer to {ACTION} was not understood: {0}")]
    Answer(String),
}

impl PlanError {
    /// Whether the command line is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoTable { .. } | Self::Connect(ConnectError::Address { .. } | ConnectError::Token) => true,
            Self::Source(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// The schema that the table shall take.
pub async fn schema(args: &PlanArgs) -> Result<SchemaRef, PlanError> {
    if args.source.contains("://") {
        return schema_of_table(args).await;
    }
    let inputs = formats::expand(std::slice::from_ref(&args.source))?;
    let (format, text) = (args.format, args.text.clone());
    let opened = tokio::task::spawn_blocking(move || formats::open(inputs, format, &text, &Arc::default())).await;
    let (source, _) = opened.map_err(|error| PlanError::Answer(error.to_string()))??;
    Ok(Arc::clone(source.schema()))
}

async fn schema_of_table(args: &PlanArgs) -> Result<SchemaRef, PlanError> {
    let no_table = || PlanError::NoTable {
        uri: args.source.clone(),
    };
    let (scheme, rest) = args.source.split_once("://").ok_or_else(no_table)?;
    let (authority, path) = rest.split_once('/').ok_or_else(no_table)?;
    let path: Vec<String> = path.split('/').map(str::to_owned).collect();
    if path.len() > 2 || path.iter().any(String::is_empty) {
        return Err(no_table());
    }
    let server = Server {
        uri: format!("{scheme}://{authority}"),
        token: args.token.clone(),
        ca_file: args.ca_file.clone(),
    };
    let connection = Connection::open(Endpoint::Server(server)).await?;
    let request = connection.request(FlightDescriptor::new_path(path));
    let answer = match connection.flight().get_schema(request).await {
        Ok(answer) => answer,
        Err(status) => return Err(connection.explained(status.into()).await.into()),
    };
    Ok(Arc::new(Schema::try_from(answer.into_inner())?))
}

/// The action's body for a plan of exactly what a load would do.
pub fn body(args: &PlanArgs, schema: &Schema) -> Result<Value, PlanError> {
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, schema)?.finish()?;
    let mut body = serde_json::to_value(&args.options).map_err(|error| PlanError::Answer(error.to_string()))?;
    body["table"] = json!(args.table.name.as_str());
    if let Some(schema) = &args.table.schema {
        body["schema"] = json!(schema.as_str());
    }
    body["arrow_schema"] = json!(STANDARD.encode(bytes));
    body["dry_run"] = json!(true);
    body["as_load"] = json!(true);
    Ok(body)
}

/// Asks a server.
pub async fn ask(args: &PlanArgs, server: Server) -> Result<MigrationReport, PlanError> {
    let connection = Connection::open(Endpoint::Server(server)).await?;
    let body = body(args, &*schema(args).await?)?;
    let action = Action {
        r#type: ACTION.to_owned(),
        body: body.to_string().into(),
    };
    let answers = connection.flight().do_action(connection.request(action)).await;
    let answer = match answers {
        Ok(answers) => answers.into_inner().next().await,
        Err(status) => Some(Err(status)),
    };
    let answer = match answer.ok_or_else(|| PlanError::Answer("it is empty".to_owned()))? {
        Ok(answer) => answer,
        Err(status) => return Err(connection.explained(status.into()).await.into()),
    };
    serde_json::from_slice(&answer.body).map_err(|error| PlanError::Answer(error.to_string()))
}

/// The plan for people: SQL that can be run as it is, everything else as comments.
pub fn text(report: &MigrationReport) -> String {
    let mut lines = vec![format!("-- table {}{}", report.table, size(report))];
    if report.steps.is_empty() {
        lines.push("-- it fits as it is; nothing would be done".to_owned());
    }
    for step in &report.steps {
        lines.push(String::new());
        lines.push(format!("-- {}", step.reason.replace('\n', " ")));
        lines.push(format!("-- {}", cost(step)));
        lines.push(format!("{};", step.sql));
    }
    for note in &report.notes {
        lines.push(String::new());
        lines.push(format!("-- note: {}", note.replace('\n', " ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn size(report: &MigrationReport) -> String {
    if report.created {
        return ", which does not exist".to_owned();
    }
    let bytes = report.table_bytes.map_or_else(
        || "size not known".to_owned(),
        |bytes| format!("{bytes} bytes with indexes"),
    );
    match report.estimated_rows {
        Some(rows) => format!(", {bytes}, about {rows} rows"),
        None => format!(", {bytes}, never analyzed"),
    }
}

fn cost(step: &StepReport) -> String {
    let work = match (step.rewrites, step.scans) {
        (true, _) => "rewrites the table",
        (false, true) => "reads the table, rewrites nothing",
        (false, false) => "rewrites nothing",
    };
    let place = if step.own_transaction {
        ", outside the migration's transaction"
    } else {
        ""
    };
    format!("lock: {}; {work}{place}", step.lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_sql_with_everything_else_as_comments() {
        let report = MigrationReport {
            table: "s.t".to_owned(),
            steps: vec![StepReport {
                sql: "ALTER TABLE \"s\".\"t\" ADD COLUMN \"b\" text".to_owned(),
                reason: "the table has\nno such column".to_owned(),
                lock: "ACCESS EXCLUSIVE".to_owned(),
                rewrites: false,
                scans: false,
                own_transaction: false,
            }],
            notes: vec!["column a stays".to_owned()],
            table_bytes: Some(8192),
            estimated_rows: Some(3),
            ..MigrationReport::default()
        };
        let expected = "-- table s.t, 8192 bytes with indexes, about 3 rows\n\n-- the table has no such column\n-- lock: ACCESS EXCLUSIVE; rewrites nothing\nALTER TABLE \"s\".\"t\" ADD COLUMN \"b\" text;\n\n-- note: column a stays\n";
        assert_eq!(text(&report), expected);
        let fits = MigrationReport {
            table: "t".to_owned(),
            ..MigrationReport::default()
        };
        assert_eq!(
            text(&fits),
            "-- table t, size not known, never analyzed\n-- it fits as it is; nothing would be done\n"
        );
    }
}
