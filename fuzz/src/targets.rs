//! One function per reader of foreign bytes. Any answer of the reader is fine; a panic, also one that it caught itself, is not.

use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::{Buf, Bytes, BytesMut};
use pgflight::codec::decode::ReadPlan;
use pgflight::codec::decode::{BatchLimits, TableDecoder};
use pgflight::codec::encode::{CopyPlan, EncodeOptions};
use pgflight::config::{FixedSource, Flags, Loaded, dsn};
use pgflight::model::ident::Ident;
use pgflight::model::options::TypeProfile;
use pgflight::model::pg_type::{NumericMod, PgType};
use pgflight::model::table::TargetColumn;
use pgflight::model::type_map::default_type;
use pgflight::postgres::connect::ConnectPlan;
use pgflight::server::cloudquery::{self, pb};
use pgflight::server::flight::decode::{Decoder, Message};
use pgflight::server::flight::{descriptor, ticket};
use prost::Message as _;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

/// A target by its name, which is also that of its binary and of its corpus.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name.
    pub name: &'static str,
    /// The reader.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "flight_data",
        run: flight_data,
    },
    Target {
        name: "descriptor",
        run: descriptor_and_ticket,
    },
    Target {
        name: "options",
        run: options,
    },
    Target {
        name: "cloudquery_write",
        run: cloudquery_write,
    },
    Target {
        name: "copy_decode",
        run: copy_decode,
    },
    Target {
        name: "dsn",
        run: connection_string,
    },
    Target {
        name: "config",
        run: configuration,
    },
];

/// Messages of a put, each behind its length (`u32`, little-endian): the schema first.
pub fn flight_data(mut input: &[u8]) {
    let Some(first) = next_message(&mut input) else { return };
    let mut decoder = match Decoder::new(&first) {
        Ok(decoder) => decoder,
        Err(reason) => return not_caught(&reason),
    };
    while let Some(message) = next_message(&mut input) {
        let read = decoder.bytes(&message).and_then(|_| decoder.read(message));
        match read {
            Ok(Message::Batch(batch)) => encoded(&batch),
            Ok(_) => {}
            Err(reason) => return not_caught(&reason),
        }
    }
}

/// What a decoder lets through is valid, and the encoder has an answer to it.
fn encoded(batch: &RecordBatch) {
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if let Err(error) = column.to_data().validate_full() {
            panic!("column {:?} was let through and is not valid: {error}", field.name());
        }
    }
    let targets = batch.schema_ref().fields().iter().map(|field| {
        let ty = default_type(field, TypeProfile::Native);
        let name = Ident::new("c").ok()?;
        Some(TargetColumn {
            name,
            ty,
            nullable: true,
        })
    });
    let Some(targets) = targets.collect::<Option<Vec<_>>>() else {
        return;
    };
    let Ok(plan) = CopyPlan::new(batch.schema_ref(), &targets, &EncodeOptions::default()) else {
        return;
    };
    let Ok(bound) = plan.bind(batch) else { return };
    let (mut row, mut out) = (0, BytesMut::new());
    // A few rows of nothing may stand for much: as far as a few megabytes go.
    while row < bound.rows() && row < 1 << 16 && out.len() < 1 << 22 {
        match bound.encode(row, 1 << 16, 0, &mut out) {
            Ok(next) => row = next,
            Err(_) => return,
        }
    }
}

fn next_message(input: &mut &[u8]) -> Option<FlightData> {
    let length = input.try_get_u32_le().ok()?;
    let length = usize::try_from(length).ok()?.min(input.len());
    let message = FlightData::decode(input.get(..length)?).ok();
    input.advance(length);
    message
}

/// The doors turn a panic of the Arrow reader into this sentence; what led there should have been told apart before.
fn not_caught(reason: &str) {
    assert!(!reason.contains("cannot name"), "the Arrow reader panicked: {reason}");
}

/// A Flight descriptor as it comes over the wire, and the same bytes as command, path and ticket.
pub fn descriptor_and_ticket(input: &[u8]) {
    if let Ok(wire) = FlightDescriptor::decode(input) {
        drop(descriptor::read(&wire));
        drop(ticket::of_descriptor(&wire));
    }
    drop(descriptor::read(&FlightDescriptor::new_cmd(input.to_vec())));
    let path = String::from_utf8_lossy(input).split('/').map(str::to_owned).collect();
    drop(descriptor::read(&FlightDescriptor::new_path(path)));
    if let Ok(request) = ticket::of_ticket(input) {
        let again = ticket::of_ticket(&ticket::to_ticket(&request));
        assert_eq!(
            again.ok().as_ref(),
            Some(&request),
            "a ticket that is handed out reads as it was written"
        );
    }
}

/// Lines `name: value`, as gRPC headers and as schema metadata.
pub fn options(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (mut headers, mut metadata) = (MetadataMap::new(), std::collections::HashMap::new());
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (
            AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()),
            AsciiMetadataValue::try_from(value),
        ) {
            headers.insert(name, value);
        }
        metadata.insert(name.replacen("pgflight-", "pgflight.", 1), value.to_owned());
    }
    drop(descriptor::header_options(&headers));
    drop(descriptor::metadata_options(&Schema::empty().with_metadata(metadata)));
}

/// A Write message of the CloudQuery door.
pub fn cloudquery_write(input: &[u8]) {
    let Ok(request) = pb::write::Request::decode(input) else {
        return;
    };
    if let Err(error) = cloudquery::read_write(request) {
        not_caught(&error.to_string());
    }
}

/// COPY BINARY as it comes from Postgres. The first byte says after how many bytes a piece ends.
pub fn copy_decode(input: &[u8]) {
    let Some((piece, bytes)) = input.split_first() else {
        return;
    };
    let Some(mut decoder) = decoder() else { return };
    for piece in bytes.chunks(usize::from(*piece) + 1) {
        decoder.feed(Bytes::copy_from_slice(piece));
        loop {
            match decoder.batch() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    drop(decoder.finish());
}

/// Columns of the table that `copy_decode` reads.
pub fn copied_columns() -> Vec<(&'static str, PgType)> {
    let numeric = PgType::Numeric(Some(NumericMod {
        precision: 20,
        scale: 4,
    }));
    vec![
        ("i", PgType::Int8),
        ("b", PgType::Bool),
        ("n", numeric),
        ("t", PgType::Text),
        ("y", PgType::Bytea),
        ("z", PgType::TimestampTz(None)),
        ("v", PgType::Interval),
        ("u", PgType::Uuid),
        ("j", PgType::Jsonb),
        ("a", PgType::Array(Box::new(PgType::Text))),
        ("m", PgType::Array(Box::new(PgType::Int4))),
        ("d", PgType::Inet),
        ("s", PgType::VarBit(None)),
    ]
}

fn decoder() -> Option<TableDecoder> {
    let columns = copied_columns().into_iter().map(|(name, ty)| {
        let name = Ident::new(name).ok()?;
        let nullable = true;
        Some(TargetColumn { name, ty, nullable })
    });
    let columns: Vec<TargetColumn> = columns.collect::<Option<_>>()?;
    let limits = BatchLimits {
        rows: 16,
        bytes: 1 << 16,
    };
    Some(ReadPlan::new(&columns, None, None).ok()?.into_decoder(limits))
}

/// A connection string: its parts, what is shown of it, and what would be connected to.
pub fn connection_string(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let shown = dsn::redact(&text);
    let password = dsn::pairs(&text).ok().and_then(|pairs| {
        let named = pairs
            .into_iter()
            .find(|(key, _)| dsn::SECRET_KEYWORDS.contains(&key.as_str()));
        named.map(|(_, value)| value)
    });
    // A short one may stand elsewhere in the string by chance.
    if let Some(password) =
        password.filter(|password| password.len() >= 12 && text.matches(password.as_str()).count() == 1)
    {
        assert!(!shown.contains(&password), "{shown:?} shows the password of {text:?}");
    }
    drop(ConnectPlan::new(&text, Duration::from_secs(5), &FixedSource::new()));
}

/// A configuration file.
pub fn configuration(input: &[u8]) {
    let source = FixedSource::new()
        .with_file("pgflight.yaml", &String::from_utf8_lossy(input))
        .with_variable("SET", "value");
    if let Ok(loaded) = Loaded::read(&source, &Flags::default()) {
        drop(loaded.to_yaml());
    }
}
