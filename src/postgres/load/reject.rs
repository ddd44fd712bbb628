//! Rows that go to the reject table instead of the table: what is noted about each, and the statement that notes them in
//! the transaction of the rows beside them. Values of rows are noted only where the load asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::BytesMut;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::codec::encode::{CellError, CopyPlan, EncodeOptions};
use crate::ingest::ports::Chunk;
use crate::ingest::request::LoadRequest;
use crate::model::ident::{Ident, TableName};
use crate::model::options::BadRowPolicy;
use crate::model::pg_type::PgType;
use crate::model::table::TargetColumn;
use crate::postgres::error::{BadRow, Error};
use crate::postgres::queries;

/// Bytes before the payload of a tuple's only field: field count and length.
const BEFORE_PAYLOAD: usize = 2 + 4;

/// How a load rejects rows.
#[derive(Debug)]
pub(super) struct RejectPlan {
    statement: String,
    count: String,
    load_id: String,
    owner: String,
    stream_id: Option<String>,
    table: TableName,
    /// Writes a whole row as one JSON document, where values are kept.
    values: Option<CopyPlan>,
    /// Most rows that one load may reject.
    pub(super) max: u64,
}

/// A row that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reject {
    pub(super) bad: BadRow,
    /// The row as JSON.
    pub(super) values: Option<String>,
}

/// Rows that a load rejected, counted by all its transactions together.
#[derive(Clone, Debug, Default)]
pub(super) struct RejectCount(Arc<AtomicU64>);

/// One transaction's part of the count; taken out again when the transaction is dropped without a COMMIT.
#[derive(Debug)]
pub(super) struct RejectShare {
    all: RejectCount,
    here: u64,
    kept: bool,
}

impl RejectCount {
    /// The count that a load shares with all others of its stream.
    pub(super) fn of(request: &LoadRequest) -> Self {
        Self(Arc::clone(&request.rejected))
    }

    /// A part for a transaction.
    pub(super) fn share(&self) -> RejectShare {
        RejectShare {
            all: self.clone(),
            here: 0,
            kept: false,
        }
    }

    /// Counts rows of a transaction that was dropped as if it were not committed, and was.
    pub(super) fn count_after_all(&self, rows: u64) {
        self.0.fetch_add(rows, Ordering::Relaxed);
    }
}

impl RejectShare {
    /// Rows of this transaction.
    pub(super) fn here(&self) -> u64 {
        self.here
    }

    /// Rows of the load.
    pub(super) fn all(&self) -> u64 {
        self.all.0.load(Ordering::Relaxed)
    }

    /// Counts one more and returns the rows of the load.
    pub(super) fn add(&mut self) -> u64 {
        self.here += 1;
        self.all.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// They are committed.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for RejectShare {
    fn drop(&mut self) {
        if !self.kept {
            self.all.0.fetch_sub(self.here, Ordering::Relaxed);
        }
    }
}

impl Reject {
    /// A row with a cell that cannot be stored.
    pub(super) fn of_cell(place: u64, cell: &CellError) -> Self {
        let bad = BadRow {
            place,
            column: Some(cell.column.as_str().to_owned()),
            sqlstate: cell.reason.sqlstate().to_owned(),
            constraint: None,
            reason: format!("{} cannot be stored in {}: {}", cell.arrow, cell.pg, cell.reason),
        };
        Self { bad, values: None }
    }
}

impl RejectPlan {
    /// The plan of a load that rejects; `None` for one that fails instead.
    pub(super) fn new(
        request: &LoadRequest,
        table: &TableName,
        state_schema: &Ident,
        options: &EncodeOptions,
    ) -> Result<Option<Self>, Error> {
        if request.options.on_bad_row == BadRowPolicy::Fail {
            return Ok(None);
        }
        let values = match request.options.reject_values {
            true => Some(row_as_json(&request.schema, table, options)?),
            false => None,
        };
        Ok(Some(Self {
            statement: queries::in_schema(queries::REJECT_ADD, state_schema),
            count: queries::in_schema(queries::REJECT_COUNT, state_schema),
            load_id: request.load_id.clone(),
            owner: request.owner.clone(),
            stream_id: request.options.stream_id.clone(),
            table: table.clone(),
            values,
            max: request.options.max_rejects,
        }))
    }

    /// Whether values are kept.
    pub(super) fn keeps_values(&self) -> bool {
        self.values.is_some()
    }

    /// The failure of a load with more bad rows than it may reject.
    pub(super) fn too_many(&self, last: Reject) -> Error {
        Error::TooManyRejects {
            table: self.table.to_string(),
            max: self.max,
            bad: Box::new(last.bad),
        }
    }

    /// One row as JSON, where values are kept; `None` also where it cannot be written as JSON or takes more than a turn's memory.
    pub(super) fn values_of(&self, row: &RecordBatch) -> Option<String> {
        let plan = self.values.as_ref()?;
        let document = StructArray::from(row.clone());
        let one = RecordBatch::try_from_iter([("row", Arc::new(document) as _)]).ok()?;
        let mut out = BytesMut::new();
        plan.bind(&one)
            .ok()?
            .encode_small(0, usize::MAX / 2, 0, &mut out)
            .ok()?;
        String::from_utf8(out.get(BEFORE_PAYLOAD..)?.to_vec()).ok()
    }

    /// Rows of the load's stream that were rejected in this and in earlier calls.
    pub(super) async fn of_stream(&self, client: &Client) -> Result<u64, Error> {
        let rows = client
            .query_typed(&self.count, &[(&self.owner, Type::TEXT), (&self.stream_id, Type::TEXT)])
            .await;
        let rows = rows.map_err(|error| Error::statement("counting rejected rows", error))?;
        let rejected: i64 = rows.first().map_or(0, |row| row.get("rejected"));
        Ok(u64::try_from(rejected).unwrap_or(0))
    }

    /// Writes what was rejected. `chunk` is where the rows came in, as far as that is known.
    pub(super) async fn write(&self, client: &Client, chunk: Option<&Chunk>, rejects: &[Reject]) -> Result<(), Error> {
        if rejects.is_empty() {
            return Ok(());
        }
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let labels: Vec<_> = rejects.iter().map(|reject| label(chunk?, reject.bad.place)).collect();
        let seqs: Vec<Option<i64>> = labels.iter().map(|label| Some(signed((*label)?.0))).collect();
        let in_batch: Vec<Option<i64>> = labels.iter().map(|label| Some(signed((*label)?.1))).collect();
        let places: Vec<i64> = rejects.iter().map(|reject| signed(reject.bad.place)).collect();
        let columns: Vec<Option<&str>> = rejects.iter().map(|reject| reject.bad.column.as_deref()).collect();
        let sqlstates: Vec<&str> = rejects.iter().map(|reject| reject.bad.sqlstate.as_str()).collect();
        let constraints: Vec<Option<&str>> = rejects.iter().map(|reject| reject.bad.constraint.as_deref()).collect();
        let reasons: Vec<&str> = rejects.iter().map(|reject| reject.bad.reason.as_str()).collect();
        let values: Vec<Option<&str>> = rejects.iter().map(|reject| reject.values.as_deref()).collect();
        let schema = self.table.schema.as_ref().map(Ident::as_str);
        let parameters: [(&(dyn ToSql + Sync), Type); 13] = [
            (&self.load_id, Type::TEXT),
            (&self.owner, Type::TEXT),
            (&self.stream_id, Type::TEXT),
            (&schema, Type::TEXT),
            (&self.table.name.as_str(), Type::TEXT),
            (&seqs, Type::INT8_ARRAY),
            (&in_batch, Type::INT8_ARRAY),
            (&places, Type::INT8_ARRAY),
            (&columns, Type::TEXT_ARRAY),
            (&sqlstates, Type::TEXT_ARRAY),
            (&constraints, Type::TEXT_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
            (&values, Type::TEXT_ARRAY),
        ];
        let noted = client.execute_typed(&self.statement, &parameters).await;
        let doing = || format!("noting rejected rows of {}", self.table);
        noted.map(drop).map_err(|error| Error::statement(doing(), error))
    }
}

/// A plan for a single JSON column that takes the stream's rows as structs.
fn row_as_json(schema: &Schema, table: &TableName, options: &EncodeOptions) -> Result<CopyPlan, Error> {
    let row = Field::new("row", DataType::Struct(schema.fields().clone()), false);
    let column = TargetColumn {
        name: Ident::new("row_values").map_err(|error| Error::Internal(error.to_string()))?,
        ty: PgType::Json,
        nullable: true,
    };
    CopyPlan::new(&Schema::new(vec![row]), &[column], options).map_err(|source| Error::Plan {
        table: table.to_string(),
        source,
    })
}

/// Sequence number of the batch that a row came in, and the row's place in it; `None` where batches have no numbers.
fn label(chunk: &Chunk, place: u64) -> Option<(u64, u64)> {
    let mut first = chunk.first_row;
    for (batch, label) in chunk.batches.iter().zip(&chunk.labels) {
        let rows = batch.num_rows() as u64;
        if (first..first + rows).contains(&place) {
            return Some((label.seq, place - first));
        }
        first += rows;
    }
    None
}
