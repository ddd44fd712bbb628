//! Chunks as COPY BINARY tuples. Metadata goes through as the bytes that Postgres sent for it. Pure.
//!
//! Format of `vector` and `halfvec` (pgvector's `vector_recv`, `halfvec_recv`): dimensions as 16 bits, 16 bits of zero,
//! then each number in network byte order.

use bytes::{BufMut, Bytes, BytesMut};
use half::f16;

use crate::ingest::ports::embed::{ChunkVector, NewChunk, RowKey};
use crate::model::embed::VectorStorage;

/// Columns of ours behind the metadata.
const OWN_FIELDS: usize = 5;

/// Appends the chunks of one row.
///
/// # Errors
/// A value or a row that COPY cannot carry, in words.
pub(super) fn push_row(
    out: &mut BytesMut,
    storage: VectorStorage,
    metadata: &[Option<Bytes>],
    key: &RowKey,
    chunks: &[NewChunk],
) -> Result<(), String> {
    let fields = i16::try_from(metadata.len() + OWN_FIELDS).map_err(|_| "too many metadata columns".to_owned())?;
    for (seq, chunk) in chunks.iter().enumerate() {
        out.put_i16(fields);
        for cell in metadata {
            match cell {
                Some(bytes) => field(out, bytes)?,
                None => out.put_i32(-1),
            }
        }
        field(out, chunk.text.as_bytes())?;
        match &chunk.vector {
            ChunkVector::Kept(bytes) => field(out, bytes)?,
            ChunkVector::New(numbers) => vector(out, storage, numbers)?,
        }
        out.put_i32(4);
        out.put_i32(i32::try_from(seq).map_err(|_| "too many chunks".to_owned())?);
        field(out, key)?;
        field(out, &chunk.hash)?;
    }
    Ok(())
}

fn field(out: &mut BytesMut, bytes: &[u8]) -> Result<(), String> {
    let length = i32::try_from(bytes.len()).map_err(|_| "a value is larger than 2 GB".to_owned())?;
    out.put_i32(length);
    out.put_slice(bytes);
    Ok(())
}

fn vector(out: &mut BytesMut, storage: VectorStorage, numbers: &[f32]) -> Result<(), String> {
    let dimensions = u16::try_from(numbers.len()).map_err(|_| "more than 65535 dimensions".to_owned())?;
    let width = match storage {
        VectorStorage::Vector => 4,
        VectorStorage::Halfvec => 2,
    };
    out.put_i32(4 + i32::from(dimensions) * width);
    out.put_u16(dimensions);
    out.put_u16(0);
    for number in numbers {
        match storage {
            VectorStorage::Vector => out.put_f32(*number),
            VectorStorage::Halfvec => {
                let half = f16::from_f32(*number);
                if !half.is_finite() {
                    return Err("a vector holds a number beyond 65504, which halfvec cannot store".to_owned());
                }
                out.put_u16(half.to_bits());
            }
        }
    }
    Ok(())
}
