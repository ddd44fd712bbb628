//! Where bytes come from: files, globs, standard input; decompression, and how far reading has come.
//!
//! Knows nothing about rows. Every byte read from an input is counted, so that progress can be shown as a part of the
//! input's size.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::SourceError;
use super::format::{Compression, Format};

/// How many bytes are looked at to tell the format.
const SIGNATURE_BYTES: usize = 512;
/// Buffer of sequential reads: large enough that the system call is a small part of the cost.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// The name used in messages.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Size in bytes, where it is known before reading.
    pub fn byte_count(&self) -> Option<u64> {
        match self {
            Self::File(path) => std::fs::metadata(path)
                .ok()
                .filter(|meta| meta.is_file())
                .map(|meta| meta.len()),
            Self::Stdin => None,
        }
    }

    pub(crate) fn io_error(&self, source: io::Error) -> SourceError {
        SourceError::Io {
            input: self.name(),
            source,
        }
    }
}

/// Turns the command line's words into inputs: `-` is standard input, an existing path is itself (whatever characters
/// it holds), anything else is a glob whose matches come in order of their names.
pub fn expand(words: &[String]) -> Result<Vec<Input>, SourceError> {
    if words.iter().any(|word| word == "-") {
        return if words.len() == 1 {
            Ok(vec![Input::Stdin])
        } else {
            Err(SourceError::StdinNotAlone)
        };
    }
    let mut inputs = Vec::new();
    for word in words {
        let path = Path::new(word);
        if path.is_dir() {
            return Err(SourceError::Directory { path: path.to_owned() });
        }
        if path.exists() {
            inputs.push(Input::File(path.to_owned()));
            continue;
        }
        let matches = glob::glob(word).map_err(|source| SourceError::Pattern {
            pattern: word.clone(),
            source,
        })?;
        let before = inputs.len();
        for entry in matches {
            let path = entry.map_err(|error| SourceError::Io {
                input: error.path().display().to_string(),
                source: error.into(),
            })?;
            if path.is_file() {
                inputs.push(Input::File(path));
            }
        }
        if inputs.len() == before {
            return Err(SourceError::NothingMatches { pattern: word.clone() });
        }
    }
    Ok(inputs)
}

/// An opened input whose format is known.
pub(crate) struct Opened {
    pub(crate) format: Format,
    pub(crate) bytes: Bytes,
}

/// The bytes behind an [`Opened`].
pub(crate) enum Bytes {
    /// For formats with a footer.
    Seekable(File),
    /// For formats read from start to end, already decompressed.
    Sequential(Box<dyn BufRead + Send>),
}

/// Opens `input`, tells its format (`forced` wins over bytes, bytes over the name) and undoes compression.
pub(crate) fn open(input: &Input, forced: Option<Format>, counter: &Arc<AtomicU64>) -> Result<Opened, SourceError> {
    let io_error = |source| input.io_error(source);
    let raw: Box<dyn Read + Send> = match input {
        Input::File(path) => Box::new(File::open(path).map_err(io_error)?),
        Input::Stdin => Box::new(io::stdin()),
    };
    let (prefix, rest) = with_prefix(Counted {
        inner: raw,
        counter: Arc::clone(counter),
    })
    .map_err(io_error)?;
    let plain: Box<dyn BufRead + Send> = match Compression::of_bytes(&prefix) {
        Compression::None => Box::new(rest),
        Compression::Gzip => Box::new(BufReader::with_capacity(
            READ_BUFFER_BYTES,
            flate2::bufread::MultiGzDecoder::new(rest),
        )),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(rest).map_err(io_error)?;
            Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, decoder))
        }
    };
    let (prefix, plain) = with_prefix(plain).map_err(io_error)?;
    let format = tell(input, forced, &prefix)?;
    if !format.needs_seek() {
        return Ok(Opened {
            format,
            bytes: Bytes::Sequential(Box::new(plain)),
        });
    }
    let file = match (input, Compression::of_bytes(&prefix)) {
        (Input::File(path), Compression::None) if is_plain_file(path, &prefix).map_err(io_error)? => {
            File::open(path).map_err(io_error)?
        }
        _ => spool(plain, &std::env::temp_dir(), input)?,
    };
    Ok(Opened {
        format,
        bytes: Bytes::Seekable(file),
    })
}

/// Whether `path` can be read at any position and starts with `prefix` (so was not compressed).
fn is_plain_file(path: &Path, prefix: &[u8]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    let mut start = vec![0; prefix.len()];
    Ok(file.read_exact(&mut start).is_ok() && start == prefix)
}

fn tell(input: &Input, forced: Option<Format>, prefix: &[u8]) -> Result<Format, SourceError> {
    let named = match input {
        Input::File(path) => Format::of_name(&path.to_string_lossy()),
        Input::Stdin => None,
    };
    // A brace is a weaker proof than a signature: a CSV header may start with one.
    let found = Format::of_bytes(prefix).filter(|found| *found != Format::Ndjson || named != Some(Format::Csv));
    match (forced, found) {
        // "arrow" on the command line means either IPC layout; the signature tells which.
        (Some(Format::ArrowFile | Format::ArrowStream), Some(found @ (Format::ArrowFile | Format::ArrowStream))) => {
            Ok(found)
        }
        (Some(forced), _) => Ok(forced),
        (None, Some(found)) => Ok(found),
        (None, None) => named.ok_or_else(|| SourceError::UnknownFormat { input: input.name() }),
    }
}

/// Reads the first bytes and gives them back together with a reader that still starts at the first byte.
#[expect(
    clippy::type_complexity,
    reason = "the chained reader's type is its own best description"
)]
fn with_prefix<R: Read>(mut reader: R) -> io::Result<(Vec<u8>, io::Chain<Cursor<Vec<u8>>, BufReader<R>>)> {
    let mut prefix = Vec::with_capacity(SIGNATURE_BYTES);
    (&mut reader).take(SIGNATURE_BYTES as u64).read_to_end(&mut prefix)?;
    let rest = BufReader::with_capacity(READ_BUFFER_BYTES, reader);
    Ok((prefix.clone(), Cursor::new(prefix).chain(rest)))
}

/// Copies a stream to a temporary file that has no name any more when this returns, so nothing is left behind.
fn spool(mut reader: impl Read, directory: &Path, input: &Input) -> Result<File, SourceError> {
    let no_room = |source| SourceError::Spool {
        input: input.name(),
        directory: directory.to_owned(),
        source,
    };
    let path = directory.join(format!(
        "pgflight-load-{}-{:016x}",
        std::process::id(),
        fastrand::u64(..)
    ));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(no_room)?;
    std::fs::remove_file(&path).map_err(no_room)?;
    io::copy(&mut reader, &mut file).map_err(|error| match error.kind() {
        // All others are the input's.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => no_room(error),
        _ => input.io_error(error),
    })?;
    file.seek(SeekFrom::Start(0)).map_err(no_room)?;
    Ok(file)
}

/// A reader that adds what it reads to a shared counter.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) counter: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.counter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Counted<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
