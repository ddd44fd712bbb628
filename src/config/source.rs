//! Where configuration comes from: the process's environment and files, or fixed values in a test.
//!
//! Nothing else in the program reads an environment variable or a configuration file, so that a test never has to change
//! its own process.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most bytes of a file that a connection string names.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// Environment variables and text files.
pub trait Source {
    /// The value of an environment variable. One that is not UTF-8 counts as not set.
    fn variable(&self, name: &str) -> Option<String>;

    /// The names of all environment variables.
    fn variable_names(&self) -> Vec<String>;

    /// A file's text.
    ///
    /// # Errors
    /// As `std::fs::read_to_string`.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The text of a small file that a connection string names: a regular one of at most 1 MiB, so that no client can make
    /// the program wait for a pipe or read a device.
    ///
    /// # Errors
    /// As [`Source::read`]; or it is no such file.
    fn read_small(&self, path: &Path) -> io::Result<String> {
        self.read(path)
    }

    /// A file's permission bits, as in `0o600`; `None` where the platform has none.
    ///
    /// # Errors
    /// As `std::fs::metadata`.
    fn permissions(&self, path: &Path) -> io::Result<Option<u32>>;
}

/// The real process and its file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessSource;

impl Source for ProcessSource {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn variable_names(&self) -> Vec<String> {
        std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn read_small(&self, path: &Path) -> io::Result<String> {
        // Asked before it is opened, since opening a pipe waits for its writer.
        let found = std::fs::metadata(path)?;
        if !found.is_file() || found.len() > SMALL_FILE_BYTES {
            let reason = format!("it is not a regular file of at most {SMALL_FILE_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let mut text = String::new();
        std::fs::File::open(path)?
            .take(SMALL_FILE_BYTES)
            .read_to_string(&mut text)?;
        Ok(text)
    }

    #[cfg(unix)]
    fn permissions(&self, path: &Path) -> io::Result<Option<u32>> {
        use std::os::unix::fs::PermissionsExt;
        Ok(Some(std::fs::metadata(path)?.permissions().mode() & 0o777))
    }

    #[cfg(not(unix))]
    fn permissions(&self, path: &Path) -> io::Result<Option<u32>> {
        std::fs::metadata(path).map(|_| None)
    }
}

/// Another source without the login that its environment names: for connection strings of clients, who could have the
/// server's password sent to a server of their own.
pub struct WithoutLogin<'a>(pub &'a dyn Source);

impl std::fmt::Debug for WithoutLogin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithoutLogin").finish_non_exhaustive()
    }
}

impl Source for WithoutLogin<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            // Through HOME lead `.pgpass`, `.pg_service.conf` and `.postgresql`, which hold passwords and keys.
            "PGPASSWORD" | "PGPASSFILE" | "PGSERVICE" | "PGSERVICEFILE" | "HOME" => None,
            name => self.0.variable(name),
        }
    }

    fn variable_names(&self) -> Vec<String> {
        self.0.variable_names()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.read(path)
    }

    fn read_small(&self, path: &Path) -> io::Result<String> {
        self.0.read_small(path)
    }

    fn permissions(&self, path: &Path) -> io::Result<Option<u32>> {
        self.0.permissions(path)
    }
}

/// Fixed variables and files, for tests and for callers that must not read the environment.
#[derive(Debug, Clone, Default)]
pub struct FixedSource {
    variables: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, (String, u32)>,
}

impl FixedSource {
    /// No variable, no file.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With one more file, readable by its owner only.
    #[must_use]
    pub fn with_file(self, path: &str, text: &str) -> Self {
        self.with_file_mode(path, text, 0o600)
    }

    /// With one more file of the given permission bits.
    #[must_use]
    pub fn with_file_mode(mut self, path: &str, text: &str, mode: u32) -> Self {
        self.files.insert(PathBuf::from(path), (text.to_owned(), mode));
        self
    }

    fn file(&self, path: &Path) -> io::Result<&(String, u32)> {
        self.files
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl Source for FixedSource {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn variable_names(&self) -> Vec<String> {
        self.variables.keys().cloned().collect()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.file(path).map(|(text, _)| text.clone())
    }

    fn permissions(&self, path: &Path) -> io::Result<Option<u32>> {
        self.file(path).map(|(_, mode)| Some(*mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_some_size_are_small() {
        let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(ProcessSource.read_small(&known).unwrap().contains("pgflight"));
        // The program of this test is far larger.
        let large = std::env::current_exe().unwrap();
        for odd in [
            large.as_path(),
            Path::new(env!("CARGO_MANIFEST_DIR")),
            Path::new("/dev/zero"),
        ] {
            let error = ProcessSource.read_small(odd).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", odd.display());
        }
    }
}
