//! What a Parquet file of a stranger takes once it is read: looked at before the reader allocates what its pages announce, and
//! before few bytes become many rows of a long value. Only looks; values are read elsewhere.
//!
//! Format: parquet-format, "Column chunks" and `parquet.thrift`; headers of pages are in Thrift's compact protocol.

use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::basic::Type;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;

use super::thrift::Compact;

/// What pages that are read at the same time may take together, and what a batch may.
const MOST_BYTES: u64 = 256 << 20;
/// Values of a column with lists that a row group may have, whatever the file's size.
const MOST_VALUES: u64 = 16 << 20;
/// Encodings (`parquet.thrift`): strings that share their beginning with the one before.
const DELTA_BYTE_ARRAY: i64 = 7;

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It is no Parquet file, or is broken.
    Unreadable(ArrowError),
    /// It takes too much.
    TooMuch(String),
}

impl From<parquet::errors::ParquetError> for Unfit {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Unreadable(error.into())
    }
}

/// So many rows, `most` at most, may be read at a time.
///
/// # Errors
/// The file is broken, or even one row at a time takes too much.
pub(super) fn batch_rows(file: &Bytes, most: usize) -> Result<usize, Unfit> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file)?;
    let mut longest_row = 0_u64;
    for index in 0..metadata.num_row_groups() {
        longest_row = longest_row.max(row_bytes(file, &metadata, index)?);
    }
    let rows = MOST_BYTES.checked_div(longest_row).unwrap_or(u64::MAX).max(1);
    Ok(usize::try_from(rows).unwrap_or(most).min(most))
}

/// What a row of a row group may take, beyond what its own bytes in the file are.
fn row_bytes(file: &Bytes, metadata: &ParquetMetaData, index: usize) -> Result<u64, Unfit> {
    let group = metadata.row_group(index);
    let (mut pages, mut row) = (0_u64, 0_u64);
    for column in group.columns() {
        let chunk = Chunk::of(file, column)?;
        pages = pages.saturating_add(chunk.dictionary.saturating_add(chunk.largest));
        if pages > MOST_BYTES {
            return Err(Unfit::TooMuch(format!(
                "its pages unpack to more than {MOST_BYTES} bytes together; write smaller pages"
            )));
        }
        let value = longest_value(file, column, &chunk, group.num_rows())?;
        if column.column_descr().max_rep_level() > 0 {
            check_lists(column, &chunk, value, file.len() as u64)?;
        }
        row = row.saturating_add(value.max(chunk.densest));
    }
    if row > MOST_BYTES {
        return Err(Unfit::TooMuch(format!(
            "a row of it may take {row} bytes; at most {MOST_BYTES} are taken"
        )));
    }
    Ok(row)
}

/// A row may have any number of values of such a column.
fn check_lists(column: &ColumnChunkMetaData, chunk: &Chunk, value: u64, file: u64) -> Result<(), Unfit> {
    let name = column.column_path().string();
    if chunk.values > MOST_VALUES.max(file.saturating_mul(8)) {
        let values = chunk.values;
        return Err(Unfit::TooMuch(format!(
            "the column {name:?} announces {values} values, which the file has no bytes for"
        )));
    }
    if chunk.values.saturating_mul(value) > MOST_BYTES.saturating_mul(4) {
        return Err(Unfit::TooMuch(format!(
            "the lists of the column {name:?} may unpack to too much; write smaller row groups, or send Arrow"
        )));
    }
    Ok(())
}

/// How many bytes a value of the column may take that its page has only once, or not at all.
fn longest_value(file: &Bytes, column: &ColumnChunkMetaData, chunk: &Chunk, rows: i64) -> Result<u64, Unfit> {
    let of_dictionary = match (column.column_type(), chunk.dictionary) {
        (Type::FIXED_LEN_BYTE_ARRAY, _) => {
            return Ok(u64::try_from(column.column_descr().type_length()).unwrap_or(u64::MAX));
        }
        (Type::BYTE_ARRAY, 1..) => longest_of_dictionary(file, column, rows)?,
        _ => 0,
    };
    Ok(match chunk.shares_beginnings {
        true => of_dictionary.max(chunk.largest),
        false => of_dictionary,
    })
}

fn longest_of_dictionary(file: &Bytes, column: &ColumnChunkMetaData, rows: i64) -> Result<u64, Unfit> {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut pages = SerializedPageReader::new(std::sync::Arc::new(file.clone()), column, rows, None)?;
    let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? else {
        return Ok(0);
    };
    let (mut rest, mut longest) = (&buf[..], 0_u64);
    while let Some((length, values)) = rest.split_at_checked(4) {
        let length = length
            .iter()
            .rev()
            .fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        longest = longest.max(length);
        // One that is longer than the page is the reader's to refuse.
        let end = usize::try_from(length).unwrap_or(usize::MAX).min(values.len());
        rest = values.split_at(end).1;
    }
    Ok(longest.min(buf.len() as u64))
}

/// What the pages of a column in a row group announce.
#[derive(Debug, Default)]
struct Chunk {
    /// Bytes of the dictionary's page, unpacked.
    dictionary: u64,
    /// Bytes of the largest other page, unpacked.
    largest: u64,
    values: u64,
    /// Bytes of a value, on the average of the page where that is most: a batch may span many pages.
    densest: u64,
    shares_beginnings: bool,
}

impl Chunk {
    fn of(file: &Bytes, column: &ColumnChunkMetaData) -> Result<Self, Unfit> {
        let broken = || Unfit::Unreadable(ArrowError::ParquetError("a page's header cannot be read".to_owned()));
        let (start, length) = column.byte_range();
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let bytes = file
            .get(at(start)..at(start.saturating_add(length)))
            .ok_or_else(broken)?;
        let (mut rest, mut chunk) = (bytes, Self::default());
        // As the reader: all values of the chunk, or the end of its bytes.
        let announced = u64::try_from(column.num_values()).unwrap_or(0);
        while !rest.is_empty() && chunk.values < announced {
            let mut header = Header::default();
            let mut compact = Compact::new(rest);
            compact
                .read(&mut |parent, id, value| header.note(parent, id, value))
                .ok_or_else(broken)?;
            let packed = usize::try_from(header.packed).map_err(|_| broken())?;
            rest = compact.rest().get(packed..).ok_or_else(broken)?;
            chunk.add(&header).ok_or_else(broken)?;
        }
        Ok(chunk)
    }

    fn add(&mut self, header: &Header) -> Option<()> {
        let (unpacked, values) = (u64::try_from(header.unpacked).ok()?, u64::try_from(header.values).ok()?);
        match header.is_dictionary {
            true => self.dictionary = self.dictionary.max(unpacked.max(1)),
            false => {
                self.largest = self.largest.max(unpacked);
                self.densest = self.densest.max(unpacked.div_ceil(values.max(1)));
                self.values = self.values.saturating_add(values);
            }
        }
        self.shares_beginnings |= header.encoding == DELTA_BYTE_ARRAY;
        Some(())
    }
}

/// What is wanted of a page's header (`PageHeader` of `parquet.thrift`).
#[derive(Debug, Default)]
struct Header {
    unpacked: i64,
    packed: i64,
    values: i64,
    encoding: i64,
    is_dictionary: bool,
}

impl Header {
    fn note(&mut self, parent: i16, id: i16, value: i64) {
        match (parent, id) {
            // A dictionary's page is number 2 of `PageType`.
            (0, 1) => self.is_dictionary = value == 2,
            (0, 2) => self.unpacked = value,
            (0, 3) => self.packed = value,
            // `DataPageHeader`, `DictionaryPageHeader`, `DataPageHeaderV2`.
            (5 | 7 | 8, 1) => self.values = value,
            (5 | 7, 2) | (8, 4) => self.encoding = value,
            _ => {}
        }
    }
}
