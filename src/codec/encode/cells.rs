//! Access to texts and bytes of any Arrow layout, and the checks that apply to them while they are copied.

use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, GenericByteArray, GenericByteViewArray,
    LargeBinaryArray, LargeStringArray, StringArray, StringViewArray,
};
use arrow::datatypes::{ArrowNativeType, ByteArrayType, ByteViewType};

use super::column::{Planned, rendered};
use super::error::{CellReason, WrongArray};

/// An array of texts or bytes.
pub(crate) trait ByteCells: Array + Clone + 'static {
    /// The cell's bytes.
    fn cell(&self, row: usize) -> &[u8];
    /// Their number.
    fn size(&self, row: usize) -> usize {
        self.cell(row).len()
    }
    /// All bytes of a row range in one piece, where the layout has them so; those of NULL cells may be among them.
    fn run(&self, rows: Range<usize>) -> Option<&[u8]>;
}

impl<T: ByteArrayType> ByteCells for GenericByteArray<T> {
    fn cell(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
    fn size(&self, row: usize) -> usize {
        self.value_length(row).as_usize()
    }
    fn run(&self, rows: Range<usize>) -> Option<&[u8]> {
        let offsets = self.value_offsets();
        self.value_data()
            .get(offsets[rows.start].as_usize()..offsets[rows.end].as_usize())
    }
}

impl<T: ByteViewType> ByteCells for GenericByteViewArray<T> {
    fn cell(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
    fn size(&self, row: usize) -> usize {
        // The low 32 bits of a view are the length in every form of it.
        self.views()[row] as u32 as usize
    }
    fn run(&self, _: Range<usize>) -> Option<&[u8]> {
        None
    }
}

impl ByteCells for FixedSizeBinaryArray {
    fn cell(&self, row: usize) -> &[u8] {
        self.value(row)
    }
    fn run(&self, _: Range<usize>) -> Option<&[u8]> {
        None
    }
}

/// What a text or binary must fulfil to be copied.
pub(crate) trait ByteCheck: Send + Sync + Clone + 'static {
    /// Checks one cell.
    fn cell(&self, bytes: &[u8]) -> Result<(), CellReason>;
    /// Whether every piece of `run` is known to pass, so that its cells need no look.
    fn passes_whole(&self, _run: &[u8]) -> bool {
        false
    }
    /// Whether there is nothing to check at all.
    fn passes_all(&self) -> bool {
        false
    }
}

/// No condition.
#[derive(Clone)]
pub(crate) struct AnyBytes;

impl ByteCheck for AnyBytes {
    fn cell(&self, _: &[u8]) -> Result<(), CellReason> {
        Ok(())
    }
    fn passes_all(&self) -> bool {
        true
    }
}

/// Text without the byte 0, which Postgres refuses.
#[derive(Clone)]
pub(crate) struct NoNul;

impl ByteCheck for NoNul {
    fn cell(&self, bytes: &[u8]) -> Result<(), CellReason> {
        match memchr::memchr(0, bytes) {
            Some(_) => Err(CellReason::NulByte),
            None => Ok(()),
        }
    }
    fn passes_whole(&self, run: &[u8]) -> bool {
        memchr::memchr(0, run).is_none()
    }
}

/// Text without the byte 0 that also fulfils a condition of its target type.
#[derive(Clone)]
pub(crate) struct NoNulAnd<F>(pub(crate) F);

impl<F: Fn(&[u8]) -> Result<(), CellReason> + Send + Sync + Clone + 'static> ByteCheck for NoNulAnd<F> {
    fn cell(&self, bytes: &[u8]) -> Result<(), CellReason> {
        NoNul.cell(bytes)?;
        (self.0)(bytes)
    }
}

/// Texts of any layout, for rules that read cell by cell.
#[derive(Clone)]
pub(crate) enum Strings {
    Small(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

impl Strings {
    pub(crate) fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let any = array.as_any();
        if let Some(array) = any.downcast_ref::<StringArray>() {
            Ok(Self::Small(array.clone()))
        } else if let Some(array) = any.downcast_ref::<LargeStringArray>() {
            Ok(Self::Large(array.clone()))
        } else if let Some(array) = any.downcast_ref::<StringViewArray>() {
            Ok(Self::View(array.clone()))
        } else {
            Err(WrongArray::Type(array.data_type().clone()))
        }
    }

    pub(crate) fn get(&self, row: usize) -> &str {
        match self {
            Self::Small(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
        }
    }
}

/// A plan that reads texts of any layout as values of a type; `read` appends the payload.
pub(crate) fn from_text<F>(read: F) -> Planned
where
    F: Fn(&str, &mut Vec<u8>) -> Result<(), CellReason> + Send + Sync + Clone + 'static,
{
    Ok(Box::new(move |array| {
        let texts = Strings::of(array)?;
        let read = read.clone();
        Ok(rendered(array.nulls(), move |row, out| read(texts.get(row), out)))
    }))
}

/// Binaries of any layout, for rules that read cell by cell.
#[derive(Clone)]
pub(crate) enum Binaries {
    Small(BinaryArray),
    Large(LargeBinaryArray),
    View(BinaryViewArray),
    Fixed(FixedSizeBinaryArray),
}

impl Binaries {
    pub(crate) fn of(array: &ArrayRef) -> Result<Self, WrongArray> {
        let any = array.as_any();
        if let Some(array) = any.downcast_ref::<BinaryArray>() {
            Ok(Self::Small(array.clone()))
        } else if let Some(array) = any.downcast_ref::<LargeBinaryArray>() {
            Ok(Self::Large(array.clone()))
        } else if let Some(array) = any.downcast_ref::<BinaryViewArray>() {
            Ok(Self::View(array.clone()))
        } else if let Some(array) = any.downcast_ref::<FixedSizeBinaryArray>() {
            Ok(Self::Fixed(array.clone()))
        } else {
            Err(WrongArray::Type(array.data_type().clone()))
        }
    }

    pub(crate) fn get(&self, row: usize) -> &[u8] {
        match self {
            Self::Small(array) => array.value(row),
            Self::Large(array) => array.value(row),
            Self::View(array) => array.value(row),
            Self::Fixed(array) => array.value(row),
        }
    }
}
