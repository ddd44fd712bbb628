//! The connections that write one table, and which of them a row goes to. Rows of one key always go to the same one, in
//! their order, because the last one of a key wins; rows without a key go to whichever is free.

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};

use crate::ingest::batcher::IncomingBatch;
use crate::ingest::error::Error;
use crate::ingest::session::{Progress, Session, StreamEnd};
use crate::server::cloudquery::table::is_key;

/// Rows for which a further connection is worth its transactions.
const ROWS_PER_PART: usize = 256;

/// How rows are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// Columns of the key in which two values that differ here also differ in Postgres. Text is not among them: a collation
    /// may call different texts equal.
    columns: Vec<usize>,
    parts: usize,
}

impl Split {
    /// How `rows` rows with a key go to at most `most` connections; `None` when one has to do.
    pub(super) fn of(schema: &Schema, rows: usize, most: usize) -> Option<Self> {
        let parts = most.min(rows / ROWS_PER_PART);
        let columns = schema.fields().iter().enumerate().filter(|(_, field)| is_key(field));
        let columns: Vec<usize> = columns
            .filter(|(_, field)| width(field.data_type()).is_some())
            .map(|(at, _)| at)
            .collect();
        (parts > 1 && !columns.is_empty()).then_some(Self { columns, parts })
    }

    /// The number of connections.
    pub(super) fn parts(&self) -> usize {
        self.parts
    }

    /// The rows of each connection, in their order.
    fn apply(&self, batch: &RecordBatch) -> Result<Vec<RecordBatch>, Error> {
        let mut rows: Vec<Vec<u32>> = vec![Vec::with_capacity(batch.num_rows() / self.parts + 64); self.parts];
        for (row, hash) in (0_u32..).zip(self.hashes(batch)) {
            rows[hash as usize % self.parts].push(row);
        }
        let take = |rows: Vec<u32>| take_record_batch(batch, &UInt32Array::from(rows));
        let taken: Result<_, _> = rows.into_iter().map(take).collect();
        taken.map_err(|error| Error::Internal(format!("rows cannot be told apart by their key: {error}")))
    }

    fn hashes(&self, batch: &RecordBatch) -> Vec<u64> {
        let mut hashes = vec![0_u64; batch.num_rows()];
        for &column in &self.columns {
            let data = batch.column(column).to_data();
            let (Some(width), Some(values)) = (width(data.data_type()), data.buffers().first()) else {
                continue;
            };
            let values = values.as_slice().get(data.offset() * width..).unwrap_or_default();
            for (hash, value) in hashes.iter_mut().zip(values.chunks_exact(width)) {
                for byte in value {
                    *hash = (*hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
                }
            }
        }
        // The low bits of FNV are its weak ones.
        hashes.iter().map(|hash| hash ^ (hash >> 32)).collect()
    }
}

/// The multiplier of FNV-1a.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Bytes of a value of the types that are told apart by their bytes.
fn width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok().filter(|width| *width > 0),
        integer if integer.is_integer() => integer.primitive_width(),
        _ => None,
    }
}

/// The open loads of one table.
#[derive(Debug)]
pub(super) struct Parts {
    sessions: Vec<Session>,
    split: Option<Split>,
}

impl Parts {
    /// One load per part of `split`, or a single one.
    pub(super) fn new(sessions: Vec<Session>, split: Option<Split>) -> Self {
        Self { sessions, split }
    }

    /// Takes rows, which are written soon.
    pub(super) async fn push(&mut self, incoming: IncomingBatch) -> Result<(), Error> {
        let Some(split) = &self.split else {
            return match self.sessions.first_mut() {
                Some(session) => session.push(incoming).await,
                None => Err(Error::Internal("a table has no load to write with".to_owned())),
            };
        };
        let row_bytes = incoming.wire_bytes / incoming.batch.num_rows().max(1);
        for (session, batch) in self.sessions.iter_mut().zip(split.apply(&incoming.batch)?) {
            if batch.num_rows() > 0 {
                let wire_bytes = row_bytes * batch.num_rows();
                session
                    .push(IncomingBatch {
                        batch,
                        wire_bytes,
                        permit: incoming.permit.clone(),
                        label: None,
                    })
                    .await?;
            }
        }
        Ok(())
    }

    /// Hands over what the loads hold back.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        for session in &mut self.sessions {
            session.flush().await?;
        }
        Ok(())
    }

    /// Rows that stay whatever happens next.
    pub(super) fn kept(&self) -> u64 {
        self.sessions.iter().map(|session| session.kept().rows).sum()
    }

    /// Commits everything and returns how many rows were stored and rejected.
    pub(super) async fn finish(self) -> Result<Progress, Error> {
        let ends = self
            .sessions
            .into_iter()
            .map(|session| session.finish(StreamEnd::default()));
        let summaries = futures::future::try_join_all(ends).await?;
        let counts = summaries.iter().map(|summary| &summary.progress);
        Ok(counts.fold(Progress::default(), |all, one| Progress {
            rows: all.rows + one.rows,
            committed: all.committed + one.committed,
            rejected: all.rejected + one.rejected,
            suppressed: all.suppressed + one.suppressed,
            ..all
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, StringArray};
    use arrow::datatypes::Field;
    use std::collections::HashMap;
    use std::sync::Arc;

    fn key(name: &str, data_type: DataType) -> Field {
        let flag = HashMap::from([("cq:extension:primary_key".to_owned(), "true".to_owned())]);
        Field::new(name, data_type, false).with_metadata(flag)
    }

    fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    #[test]
    fn rows_of_one_key_stay_together_in_their_order_and_none_is_lost() {
        let ids: Vec<i64> = (0..5_000).map(|row| row % 700).collect();
        let place: Vec<i64> = (0..5_000).collect();
        let fields = vec![key("id", DataType::Int64), Field::new("place", DataType::Int64, false)];
        let all = batch(
            fields,
            vec![Arc::new(Int64Array::from(ids)), Arc::new(Int64Array::from(place))],
        );
        let split = Split::of(&all.schema(), 5_000, 4).unwrap();
        let mut part_of = HashMap::new();
        let mut rows = 0;
        // Slices have offsets into shared buffers.
        for piece in [all.slice(0, 1_234), all.slice(1_234, 3_766)] {
            for (part, batch) in split.apply(&piece).unwrap().into_iter().enumerate() {
                let column = |at: usize| {
                    batch
                        .column(at)
                        .as_any()
                        .downcast_ref::<Int64Array>()
                        .unwrap()
                        .values()
                        .to_vec()
                };
                assert!(column(1).is_sorted());
                assert!(batch.num_rows() * 8 > piece.num_rows(), "a fair share");
                rows += batch.num_rows();
                for id in column(0) {
                    assert_eq!(*part_of.entry(id).or_insert(part), part);
                }
            }
        }
        assert_eq!(rows, 5_000);
    }

    #[test]
    fn only_keys_whose_bytes_tell_them_apart_split_rows() {
        let of = |fields: Vec<Field>, rows| {
            Split::of(&Schema::new(fields), rows, 4).map(|split| (split.columns, split.parts))
        };
        let (text, id) = (key("account", DataType::Utf8), key("id", DataType::FixedSizeBinary(16)));
        assert_eq!(of(vec![text.clone()], 10_000), None);
        assert_eq!(of(vec![key("x", DataType::Float64)], 10_000), None);
        assert_eq!(of(vec![Field::new("id", DataType::Int64, false)], 10_000), None);
        assert_eq!(of(vec![text.clone(), id.clone()], 10_000), Some((vec![1], 4)));
        assert_eq!(of(vec![text.clone(), id.clone()], 600), Some((vec![1], 2)));
        assert_eq!(of(vec![text, id], 511), None);
    }

    #[test]
    fn uuids_spread_over_all_parts() {
        let ids = (0..4_000_u128).map(|id| (id << 64 | 0x5000).to_be_bytes());
        let ids = FixedSizeBinaryArray::try_from_iter(ids).unwrap();
        let names = StringArray::from_iter_values((0..4_000).map(|n| n.to_string()));
        let fields = vec![
            key("_cq_id", DataType::FixedSizeBinary(16)),
            Field::new("n", DataType::Utf8, false),
        ];
        let all = batch(fields, vec![Arc::new(ids), Arc::new(names)]);
        let parts = Split::of(&all.schema(), 4_000, 4).unwrap().apply(&all).unwrap();
        assert!(
            parts.iter().all(|part| part.num_rows() > 700),
            "{:?}",
            parts.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
        );
    }
}
