//! Arrow IPC messages from strangers: the checks that both the Flight and the CloudQuery door make.
//!
//! Sizes and offsets are checked before the reader sees them (it would allocate whatever a compressed buffer's length
//! prefix says), validation of the arrays stays on, and a panic of the reader is an error of this one stream. Format: Arrow
//! columnar format, "Encapsulated message format", "IPC streaming format" and "Compression".

mod dictionaries;
mod layout;
mod nulls;
mod unions;
mod views;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::{self, MessageHeader, root_as_message};
use bytes::Bytes;

pub(crate) use dictionaries::Dictionaries;

/// Most rows of one batch: a batch of nothing but NULL columns costs no bytes on the wire but a row each in Postgres.
const MAX_BATCH_ROWS: i64 = 16 << 20;
/// Most bytes that the buffers of one batch may take together, where its body does not have them itself: compressed ones, and
/// ones that several columns name.
const MAX_UNPACKED_BYTES: i64 = 256 << 20;
/// What the format promises of a body ("Encapsulated message format"): buffers start at multiples of 8 bytes in it.
const ALIGNMENT: usize = 8;
/// Postgres' own limit on columns.
const MAX_COLUMNS: usize = 1600;

/// Marks the length of a message since Arrow 0.15; before, the length stood alone.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// One encapsulated message of an IPC stream, still encoded.
#[derive(Clone, Debug)]
pub(crate) struct Encapsulated {
    /// The flatbuffer.
    pub(crate) header: Bytes,
    /// The buffers.
    pub(crate) body: Bytes,
}

/// Takes the next message off an IPC stream; `None` at its end.
///
/// # Errors
/// A length that does not fit what is there.
pub(crate) fn split_message(stream: &mut Bytes) -> Result<Option<Encapsulated>, String> {
    if stream.is_empty() {
        return Ok(None);
    }
    let mut length = take_word(stream)?;
    if length == CONTINUATION {
        length = take_word(stream)?;
    }
    let length = i32::from_le_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    let header = take(stream, i64::from(length), "header")?;
    let body_length = guarded(|| {
        let message = root_as_message(&header).map_err(|error| error.to_string())?;
        Ok(message.bodyLength())
    })?;
    let body = take(stream, body_length, "body")?;
    Ok(Some(Encapsulated { header, body }))
}

/// Bytes of the body that follows a message's header.
///
/// # Errors
/// Why it is no header.
pub(crate) fn body_length(header: &[u8]) -> Result<u64, String> {
    guarded(|| {
        let message = root_as_message(header).map_err(|error| error.to_string())?;
        let length = message.bodyLength();
        u64::try_from(length).map_err(|_| format!("a message announces a body of {length} bytes"))
    })
}

fn take_word(stream: &mut Bytes) -> Result<[u8; 4], String> {
    let word = take(stream, 4, "length")?;
    word.as_ref()
        .try_into()
        .map_err(|_| "the length of a message is cut short".to_owned())
}

fn take(stream: &mut Bytes, length: i64, what: &str) -> Result<Bytes, String> {
    match usize::try_from(length).ok().filter(|length| *length <= stream.len()) {
        Some(length) => Ok(stream.split_to(length)),
        None => Err(format!(
            "the {what} of a message has {length} bytes, and {} bytes are left",
            stream.len()
        )),
    }
}

/// Reads the schema out of a stream's first message.
///
/// # Errors
/// Why the message holds no usable schema.
pub(crate) fn read_schema(header: &[u8]) -> Result<Schema, String> {
    let schema = guarded(|| {
        let message = root_as_message(header).map_err(|error| error.to_string())?;
        let schema = message.header_as_schema().ok_or_else(|| {
            let found = header_name(message.header_type());
            format!("the first message is a {found}, not an Arrow schema")
        })?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err(
                "the schema says that numbers are big-endian; send them little-endian, as Arrow does by default"
                    .to_owned(),
            );
        }
        let schema = try_fb_to_schema(schema).map_err(|error| error.to_string())?;
        layout::check_schema(&schema).map(|()| schema)
    })?;
    match schema.fields().len() {
        columns if columns > MAX_COLUMNS => Err(format!(
            "the schema has {columns} columns; Postgres takes at most {MAX_COLUMNS}"
        )),
        _ => Ok(unions::nullable(schema)),
    }
}

/// Reads one message after the schema; a batch comes back, a dictionary is kept.
///
/// # Errors
/// Why the message cannot be read.
pub(crate) fn read_message(
    header: &[u8],
    body: Buffer,
    schema: &SchemaRef,
    dictionaries: &mut Dictionaries,
) -> Result<Option<RecordBatch>, String> {
    guarded(|| read_unguarded(header, &body, schema, dictionaries))
}

/// What a message is, as far as memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Memory that it takes once it is read: its body, or its buffers where they take more.
    pub(crate) bytes: usize,
    /// It is a dictionary, which stays.
    pub(crate) dictionary: Option<Dictionary>,
}

/// A dictionary that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dictionary {
    pub(crate) id: i64,
    /// It extends the one that is there.
    pub(crate) is_delta: bool,
}

/// What a message is, as far as memory goes.
///
/// # Errors
/// Sizes and offsets that cannot be.
pub(crate) fn weigh(header: &[u8], body: &[u8]) -> Result<Weight, String> {
    guarded(|| {
        let message = root_as_message(header).map_err(|error| error.to_string())?;
        let dictionary = message.header_as_dictionary_batch();
        let values = dictionary.and_then(|dictionary| dictionary.data());
        let buffers = match message.header_as_record_batch().or(values) {
            Some(batch) => check_body(&batch, body)?,
            None => 0,
        };
        Ok(Weight {
            bytes: body.len().max(buffers),
            dictionary: dictionary.map(|dictionary| Dictionary {
                id: dictionary.id(),
                is_delta: dictionary.isDelta(),
            }),
        })
    })
}

/// Memory that the messages of a stream take once they are read, up to the first that cannot be: its reader ends there, too.
pub(crate) fn stream_bytes(mut stream: Bytes) -> usize {
    let mut bytes = 0_usize;
    while let Ok(Some(message)) = split_message(&mut stream) {
        match weigh(&message.header, &message.body) {
            Ok(more) => bytes = bytes.saturating_add(more.bytes),
            Err(_) => break,
        }
    }
    bytes
}

/// The body where the reader can take it. It moves what is not aligned for all arrays but unions, whose type ids and
/// offsets it takes as they stand.
fn aligned<'a>(body: &'a Buffer, schema: &Schema) -> Cow<'a, Buffer> {
    let needs = schema
        .flattened_fields()
        .iter()
        .any(|field| matches!(field.data_type(), DataType::Union(..)));
    match needs && body.as_ptr().align_offset(ALIGNMENT) != 0 {
        true => Cow::Owned(Buffer::from(body.as_slice())),
        false => Cow::Borrowed(body),
    }
}

fn read_unguarded(
    header: &[u8],
    body: &Buffer,
    schema: &SchemaRef,
    dictionaries: &mut Dictionaries,
) -> Result<Option<RecordBatch>, String> {
    let message = root_as_message(header).map_err(|error| error.to_string())?;
    if let Some(batch) = message.header_as_record_batch() {
        check_body(&batch, body)?;
        dictionaries.count(body.len());
        let version = message.version();
        let missing = layout::check_batch(&batch, body, schema.fields().iter().map(AsRef::as_ref), version)?;
        let read = |body: &Buffer, batch: ipc::RecordBatch<'_>| {
            let (body, schema) = (aligned(body, schema), Arc::clone(schema));
            read_record_batch(&body, batch, schema, dictionaries.arrays(), None, &version)
        };
        let read = match nulls::completed(&batch, body, &missing) {
            None => read(body, batch),
            Some((written, longer)) => read(&longer, nulls::root(&written)?),
        };
        let read = read.map_err(|error| mismatch(schema, &error.to_string()))?;
        views::check(&read)?;
        return Ok(Some(read));
    }
    if let Some(dictionary) = message.header_as_dictionary_batch() {
        let mut bytes = body.len();
        if let Some(values) = dictionary.data() {
            bytes = bytes.max(check_body(&values, body)?);
            let kept = dictionary_values(schema, dictionary.id());
            layout::check_batch(&values, body, kept.as_ref(), message.version())?;
        }
        dictionaries.read(&aligned(body, schema), dictionary, schema, message.version(), bytes)?;
        return Ok(None);
    }
    Err(match message.header_type() {
        MessageHeader::NONE => "the message has no content".to_owned(),
        MessageHeader::Schema => "a second schema came; one stream has one schema".to_owned(),
        other => format!("a {} may not stand in a stream of record batches", header_name(other)),
    })
}

/// What the dictionary of that id holds, as a field; nothing where no column names it, which the reader tells.
fn dictionary_values(schema: &Schema, id: i64) -> Option<Field> {
    #[expect(deprecated, reason = "the reader finds them so, and offers nothing else")]
    let fields = schema.fields_with_dict_id(id);
    match fields.first()?.data_type() {
        DataType::Dictionary(_, values) => Some(Field::new("", values.as_ref().clone(), true)),
        _ => None,
    }
}

/// The reader's words say which buffer it missed, not which schema it read by.
fn mismatch(schema: &Schema, reason: &str) -> String {
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .take(8)
        .collect();
    format!(
        "the batch does not match the stream's schema ({} columns: {}): {reason}",
        schema.fields().len(),
        names.join(", ")
    )
}

/// What the buffers take together once they are read; also whether the announced numbers can be.
fn check_body(batch: &arrow::ipc::RecordBatch<'_>, body: &[u8]) -> Result<usize, String> {
    if !(0..=MAX_BATCH_ROWS).contains(&batch.length()) {
        return Err(format!(
            "the batch announces {} rows; at most {MAX_BATCH_ROWS} are taken, send smaller batches",
            batch.length()
        ));
    }
    for node in batch.nodes().into_iter().flatten() {
        if node.length() < 0 || node.null_count() < 0 || node.null_count() > node.length() {
            return Err(format!(
                "a column announces {} values and {} nulls",
                node.length(),
                node.null_count()
            ));
        }
    }
    let size = body.len() as i64;
    let bytes = buffer_bytes(batch, body)?;
    // A child of no buffers (nulls, runs) may announce any length, and working memory is made for it.
    let most = MAX_BATCH_ROWS.max(bytes.max(size).saturating_mul(8));
    if let Some(node) = batch.nodes().into_iter().flatten().find(|node| node.length() > most) {
        return Err(format!(
            "a column announces {} values, which the batch has no bytes for",
            node.length()
        ));
    }
    if bytes <= MAX_UNPACKED_BYTES.max(size) {
        return usize::try_from(bytes).map_err(|error| error.to_string());
    }
    Err(match batch.compression() {
        Some(_) => {
            format!("the batch unpacks to {bytes} bytes; at most {MAX_UNPACKED_BYTES} are taken, send smaller batches")
        }
        None => format!(
            "the columns of the batch name {bytes} bytes of its {size} together; at most {MAX_UNPACKED_BYTES} are taken, give each \
             column buffers of its own or send smaller batches"
        ),
    })
}

/// What the buffers take together, all of which must lie in the body. One that is named twice counts twice: compressed ones are
/// unpacked each time, and the reader copies each that is not aligned for its type.
fn buffer_bytes(batch: &arrow::ipc::RecordBatch<'_>, body: &[u8]) -> Result<i64, String> {
    let size = body.len() as i64;
    let mut bytes = 0_i64;
    for buffer in batch.buffers().into_iter().flatten() {
        let (offset, length) = (buffer.offset(), buffer.length());
        if offset < 0 || length < 0 || offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(format!(
                "a buffer at {offset} of {length} bytes lies outside the body of {size} bytes"
            ));
        }
        let taken = match batch.compression() {
            Some(_) if length > 0 => unpacked_bytes(body, offset, length)?.unwrap_or(length),
            _ => length,
        };
        bytes = bytes.saturating_add(taken);
    }
    Ok(bytes)
}

/// A compressed buffer starts with its unpacked length, or -1 when it is not compressed after all: `None`.
fn unpacked_bytes(body: &[u8], offset: i64, length: i64) -> Result<Option<i64>, String> {
    let at = usize::try_from(offset).map_err(|error| error.to_string())?;
    let prefix: Option<[u8; 8]> = body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    match prefix.filter(|_| length >= 8).map(i64::from_le_bytes) {
        Some(-1) => Ok(None),
        Some(bytes) if bytes >= 0 => Ok(Some(bytes)),
        Some(bytes) => Err(format!("a compressed buffer announces {bytes} bytes")),
        None => Err(format!(
            "a compressed buffer has {length} bytes, too few for its length prefix"
        )),
    }
}

fn header_name(header: MessageHeader) -> &'static str {
    header.variant_name().unwrap_or("message of unknown kind")
}

/// Runs the reader; a panic becomes an error, because its asserts are reachable with malformed input.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("the message is malformed in a way that the Arrow reader cannot name".to_owned()))
        // The reader's own words may span lines.
        .map_err(|reason| reason.split_whitespace().collect::<Vec<_>>().join(" "))
}
