//! Which format and compression an input has: told by the user, by its first bytes, or by its file name.
//!
//! Pure: looks at bytes and names that it is given, never opens anything.

use std::fmt;

/// Formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC file ("Feather V2"): has a footer.
    ArrowFile,
    /// Arrow IPC stream.
    ArrowStream,
    /// Character-separated values with a header line (unless told otherwise).
    Csv,
    /// One JSON object per line.
    Ndjson,
}

impl Format {
    /// The format's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "Parquet",
            Self::ArrowFile => "an Arrow IPC file",
            Self::ArrowStream => "an Arrow IPC stream",
            Self::Csv => "CSV",
            Self::Ndjson => "newline-delimited JSON",
        }
    }

    /// Whether the format needs random access, so that standard input is written to a temporary file first.
    pub(crate) fn needs_seek(self) -> bool {
        matches!(self, Self::Parquet | Self::ArrowFile)
    }

    /// The format that the first bytes prove (file formats carry a signature; a line of NDJSON starts with a brace).
    pub(crate) fn of_bytes(prefix: &[u8]) -> Option<Self> {
        if prefix.starts_with(b"PAR1") {
            return Some(Self::Parquet);
        }
        if prefix.starts_with(b"ARROW1") {
            return Some(Self::ArrowFile);
        }
        if prefix.starts_with(&[0xff; 4]) {
            return Some(Self::ArrowStream);
        }
        let text = prefix.strip_prefix(b"\xef\xbb\xbf").unwrap_or(prefix);
        match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// The format that a file name promises; a compression suffix is looked through.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = lower
            .strip_suffix(".gz")
            .or_else(|| lower.strip_suffix(".zst"))
            .unwrap_or(&lower);
        match bare.rsplit_once('.')?.1 {
            "parquet" | "pq" => Some(Self::Parquet),
            "arrow" | "feather" | "ipc" => Some(Self::ArrowFile),
            "arrows" => Some(Self::ArrowStream),
            "csv" | "tsv" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compression of a whole text file; Parquet and Arrow IPC compress inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// RFC 1952 section 2.3.1 and RFC 8878 section 3.1.1 signatures.
    pub(crate) fn of_bytes(prefix: &[u8]) -> Self {
        if prefix.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if prefix.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_prove_the_format_whatever_the_name_says() {
        assert_eq!(Format::of_bytes(b"PAR1...."), Some(Format::Parquet));
        assert_eq!(Format::of_bytes(b"ARROW1\0\0"), Some(Format::ArrowFile));
        assert_eq!(
            Format::of_bytes(&[0xff, 0xff, 0xff, 0xff, 8]),
            Some(Format::ArrowStream)
        );
        assert_eq!(Format::of_bytes(b"\xef\xbb\xbf \n{\"a\":1}"), Some(Format::Ndjson));
        assert_eq!(Format::of_bytes(b"a,b\n"), None);
        assert_eq!(Format::of_bytes(b""), None);
    }

    #[test]
    fn names_promise_a_format_through_compression_suffixes() {
        assert_eq!(Format::of_name("x.CSV.gz"), Some(Format::Csv));
        assert_eq!(Format::of_name("x.jsonl.zst"), Some(Format::Ndjson));
        assert_eq!(Format::of_name("part-0.parquet"), Some(Format::Parquet));
        assert_eq!(Format::of_name("README"), None);
        assert_eq!(Format::of_name("x.gz"), None);
    }
}
