//! Chunks as COPY BINARY tuples. Metadata goes through as the bytes that Postgres sent for it, vectors as the crate `pgvector`
//! binds them. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use half::f16;
use pgvector::{HalfVector, Vector};
use tokio_postgres::types::{ToSql, Type};

use crate::ingest::ports::embed::{ChunkVector, NewChunk, RowKey};
use crate::model::embed::VectorStorage;

/// Columns of ours behind the metadata.
const OWN_FIELDS: usize = 5;

const TOO_LARGE: &str = "a value is larger than 2 GB";

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
    let length = i32::try_from(bytes.len()).map_err(|_| TOO_LARGE.to_owned())?;
    out.put_i32(length);
    out.put_slice(bytes);
    Ok(())
}

/// The vector in the column's type, by pgvector's own binary form.
fn vector(out: &mut BytesMut, storage: VectorStorage, vector: &Vector) -> Result<(), String> {
    match storage {
        VectorStorage::Vector => bound(out, vector),
        VectorStorage::Halfvec => bound(out, &half(vector)?),
    }
}

/// Half the width. pgvector's own conversion makes an infinity of a number that is too large.
fn half(vector: &Vector) -> Result<HalfVector, String> {
    let numbers: Vec<f16> = vector.as_slice().iter().copied().map(f16::from_f32).collect();
    if numbers.iter().any(|number| !number.is_finite()) {
        return Err("a vector holds a number beyond 65504, which halfvec cannot store".to_owned());
    }
    Ok(HalfVector::from(numbers))
}

/// A value as the driver would bind it, behind its length.
fn bound(out: &mut BytesMut, value: &impl ToSql) -> Result<(), String> {
    let start = out.len();
    out.put_i32(0);
    // The form does not depend on the type, which only a server could name.
    let written = value.to_sql(&Type::UNKNOWN, out);
    written.map_err(|_| "more than 65535 dimensions".to_owned())?;
    let length = i32::try_from(out.len() - start - 4).map_err(|_| TOO_LARGE.to_owned())?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_halfvec_cannot_hold_is_refused_and_never_made_an_infinity() {
        let mut out = BytesMut::new();
        let large = Vector::from(vec![1.0, 1e6]);
        let refused = vector(&mut out, VectorStorage::Halfvec, &large).unwrap_err();
        assert!(refused.contains("65504"), "{refused}");
        assert_eq!(
            HalfVector::from_f32_slice(&[1e6]).as_slice(),
            [f16::INFINITY],
            "why it is checked here"
        );
        vector(&mut out, VectorStorage::Vector, &large).unwrap();
        assert_eq!(
            &out[..],
            [0, 0, 0, 12, 0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0x49, 0x74, 0x24, 0]
        );
    }
}
