//! Types whose payload is their text, and all that is rendered as text on the way: into any of Arrow's text layouts.

use std::sync::Arc;

use arrow::array::{ArrayRef, GenericStringBuilder, OffsetSizeTrait, StringViewBuilder};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::bytea;
use crate::codec::decode::column::{ColumnDecoder, Planned};
use crate::codec::decode::cursor::exactly;
use crate::codec::decode::fault::{Fault, Refused};
use crate::codec::wire::VERSION;
use crate::model::extension::Extension;

/// Gives the text of a payload, either in the payload itself or written into the second argument (which comes empty).
pub(in crate::codec::decode) type Render = for<'a> fn(&'a [u8], &'a mut String) -> Result<&'a str, Fault>;

/// `text` and its like; as JSON they may also be asked for in binary storage.
pub(in crate::codec::decode) fn plan(field: &Field) -> Planned {
    rendered(field.data_type(), |payload, _| utf8(payload))
}

/// `json`: its text.
pub(in crate::codec::decode) fn plan_json(field: &Field) -> Planned {
    rendered(field.data_type(), |payload, _| utf8(payload))
        .or_else(|refused| as_json(field, refused, |payload| Ok(payload)))
}

/// `jsonb`, `jsonpath`, `ltree` and `lquery`: a version byte 1 before the text.
pub(in crate::codec::decode) fn plan_versioned(field: &Field) -> Planned {
    rendered(field.data_type(), |payload, _| utf8(versioned(payload)?))
        .or_else(|refused| as_json(field, refused, versioned))
}

/// CloudQuery keeps JSON in binary arrays.
fn as_json(field: &Field, refused: Refused, carve: bytea::Carve) -> Planned {
    if Extension::of(field) == Some(Extension::Json) {
        bytea::carved(field.data_type(), carve)
    } else {
        Err(refused)
    }
}

fn versioned(payload: &[u8]) -> Result<&[u8], Fault> {
    match payload.split_first() {
        Some((&VERSION, text)) => Ok(text),
        Some(_) => Err(Fault::Malformed("the version is not 1")),
        None => Err(Fault::Short),
    }
}

/// `"char"`: one byte; 0 is the empty text, and a byte above 127 is `\ooo`, as Postgres prints and reads it since 15.
pub(in crate::codec::decode) fn plan_single(field: &Field) -> Planned {
    rendered(field.data_type(), |payload, text| {
        match exactly(payload)? {
            [0] => {}
            [byte @ 1..=127] => text.push(char::from(byte)),
            [byte] => text.push_str(&format!("\\{byte:03o}")),
        }
        Ok(text)
    })
}

/// The payload as text.
pub(in crate::codec::decode) fn utf8(payload: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(payload).map_err(|_| Fault::NotUtf8)
}

/// A decoder of texts in any layout.
pub(in crate::codec::decode) fn rendered(data_type: &DataType, render: Render) -> Planned {
    match data_type {
        DataType::Utf8 => Ok(texts(GenericStringBuilder::<i32>::new(), render)),
        DataType::LargeUtf8 => Ok(texts(GenericStringBuilder::<i64>::new(), render)),
        DataType::Utf8View => Ok(texts(StringViewBuilder::new(), render)),
        _ => Err(Refused::NoRule),
    }
}

fn texts<B: TextBuilder + 'static>(builder: B, render: Render) -> super::super::column::Decoder {
    Box::new(Texts {
        builder,
        render,
        scratch: String::new(),
    })
}

/// What the text layouts have in common.
trait TextBuilder: Send {
    fn push(&mut self, text: &str) -> Result<(), Fault>;
    fn push_null(&mut self);
    fn array(&mut self) -> ArrayRef;
}

impl<O: OffsetSizeTrait> TextBuilder for GenericStringBuilder<O> {
    fn push(&mut self, text: &str) -> Result<(), Fault> {
        O::from_usize(self.values_slice().len() + text.len()).ok_or(Fault::TooLarge)?;
        self.append_value(text);
        Ok(())
    }

    fn push_null(&mut self) {
        self.append_null();
    }

    fn array(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl TextBuilder for StringViewBuilder {
    fn push(&mut self, text: &str) -> Result<(), Fault> {
        self.try_append_value(text).map_err(|_| Fault::TooLarge)
    }

    fn push_null(&mut self) {
        self.append_null();
    }

    fn array(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

struct Texts<B> {
    builder: B,
    render: Render,
    scratch: String,
}

impl<B: TextBuilder> ColumnDecoder for Texts<B> {
    fn null(&mut self) -> usize {
        self.builder.push_null();
        4
    }

    fn value(&mut self, payload: &[u8]) -> Result<usize, Fault> {
        self.scratch.clear();
        let text = (self.render)(payload, &mut self.scratch)?;
        self.builder.push(text)?;
        Ok(4 + text.len())
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(self.builder.array())
    }
}
