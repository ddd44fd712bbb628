//! What a column brings: its Arrow type and the meaning that an extension type gives it.

use std::fmt;

use arrow::datatypes::{DataType, Field};

use crate::model::extension::{Extension, is_text, meant};

/// An Arrow type with its meaning.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    /// Storage type.
    pub(crate) data_type: &'a DataType,
    /// Meaning, where the field has one.
    pub(crate) extension: Option<Extension>,
    field: &'a Field,
}

impl<'a> Source<'a> {
    /// What a field brings.
    pub(crate) fn of(field: &'a Field) -> Self {
        Self {
            data_type: field.data_type(),
            extension: Extension::of(field),
            field,
        }
    }

    /// Whether this is text in any layout.
    pub(crate) fn is_text(&self) -> bool {
        is_text(self.data_type)
    }

    /// The field as it was declared, whatever storage is looked at.
    pub(crate) fn declared(&self) -> &Field {
        self.field
    }

    /// A field of this type with the metadata that gives it its meaning.
    pub(crate) fn field(&self) -> Field {
        meant(self.field).with_data_type(self.data_type.clone())
    }

    /// The same meaning on another storage: the values of a dictionary or of runs.
    pub(crate) fn stored_as(&self, data_type: &'a DataType) -> Self {
        Self {
            data_type,
            extension: self.extension.clone(),
            field: self.field,
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extension {
            Some(extension) => write!(f, "{extension:?} ({})", self.data_type),
            None => write!(f, "{}", self.data_type),
        }
    }
}
