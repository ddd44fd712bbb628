//! TPC-H tables as sources of record batches, generated while they are read.
//!
//! The rows are those of the TPC's own generator for the same scale factor; nothing is stored or downloaded.

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use tpchgen::generators::{CustomerGenerator, LineItemGenerator, OrderGenerator};
use tpchgen_arrow::{CustomerArrow, LineItemArrow, OrderArrow};

use crate::formats::{Source, SourceError};

/// A table of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// `lineitem`: the largest, 16 columns.
    LineItem,
    /// `orders`.
    Orders,
    /// `customer`.
    Customer,
}

impl Table {
    /// In the order in which they are loaded.
    pub const ALL: [Self; 3] = [Self::LineItem, Self::Orders, Self::Customer];

    /// The table's name in Postgres.
    pub fn name(self) -> &'static str {
        match self {
            Self::LineItem => "lineitem",
            Self::Orders => "orders",
            Self::Customer => "customer",
        }
    }

    /// Key columns that the table is created with: where the demo follows rows.
    pub fn primary_key(self) -> Vec<String> {
        match self {
            Self::Customer => vec!["c_custkey".to_owned()],
            Self::LineItem | Self::Orders => Vec::new(),
        }
    }

    /// How many rows there will be, where the generator fixes it: `lineitem` draws 1 to 7 rows per order.
    pub fn row_count(self, scale_factor: f64) -> Option<u64> {
        let rows = match self {
            Self::LineItem => return None,
            Self::Orders => OrderGenerator::calculate_row_count(scale_factor, 1, 1),
            Self::Customer => CustomerGenerator::calculate_row_count(scale_factor, 1, 1),
        };
        u64::try_from(rows).ok()
    }

    /// The rows.
    pub fn source(self, scale_factor: f64) -> Source {
        match self {
            Self::LineItem => source(LineItemArrow::schema_ref(), move || {
                LineItemArrow::new(LineItemGenerator::new(scale_factor, 1, 1))
            }),
            Self::Orders => source(OrderArrow::schema_ref(), move || {
                OrderArrow::new(OrderGenerator::new(scale_factor, 1, 1))
            }),
            Self::Customer => source(CustomerArrow::schema_ref(), move || {
                CustomerArrow::new(CustomerGenerator::new(scale_factor, 1, 1))
            }),
        }
    }
}

/// Makes the text pool that all tables share; seconds of work, done once per process.
pub(super) fn prepare() {
    drop(Table::Customer.source(0.001).next());
}

/// The generator is made on the thread that reads it: its first use builds a text pool of 300 MB of words.
fn source<R>(schema: SchemaRef, start: impl FnOnce() -> R + Send + 'static) -> Source
where
    R: RecordBatchReader + Send + 'static,
{
    let batches = std::iter::once_with(start).flatten();
    Source::new(
        schema,
        batches.map(|batch: Result<RecordBatch, ArrowError>| batch.map_err(SourceError::Produce)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_row_counts_of_the_specification() {
        for (table, expected) in [(Table::LineItem, 6005), (Table::Orders, 1500), (Table::Customer, 150)] {
            let rows: usize = table.source(0.001).map(|batch| batch.unwrap().num_rows()).sum();
            assert_eq!(rows, expected, "{}", table.name());
            assert!(table.row_count(0.001).is_none_or(|count| count == expected as u64));
        }
    }
}
