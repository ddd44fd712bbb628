//! Connection parameters gathered as libpq gathers them: connection string, then service file, then `PG*` environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::ConnectError;
use crate::config::{Source, dsn};

/// Parameters with an environment variable (PostgreSQL documentation, 34.15).
const VARIABLES: [(&str, &str); 26] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("require_auth", "PGREQUIREAUTH"),
    ("gssencmode", "PGGSSENCMODE"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslsni", "PGSSLSNI"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
];

/// Parameters by libpq's name; the strongest source of each has won.
#[derive(Clone)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Gathers every source.
    pub(super) fn gather(text: &str, source: &dyn Source) -> Result<Self, ConnectError> {
        let bad = |reason: String| ConnectError::BadString(reason);
        let mut parameters = BTreeMap::new();
        for (keyword, value) in dsn::pairs(text).map_err(|error| bad(error.to_string()))? {
            // `database` is pgx's other name. The last of two wins, as in libpq.
            let keyword = if keyword == "database" {
                "dbname".to_owned()
            } else {
                keyword
            };
            parameters.insert(keyword, value);
        }
        let named = parameters.remove("service").or_else(|| source.variable("PGSERVICE"));
        let file = parameters
            .remove("servicefile")
            .or_else(|| source.variable("PGSERVICEFILE"));
        if let Some(name) = named.filter(|name| !name.is_empty()) {
            for (keyword, value) in service(&name, file.as_deref(), source).map_err(bad)? {
                parameters.entry(keyword).or_insert(value);
            }
        }
        for (keyword, variable) in VARIABLES {
            if let Some(value) = source.variable(variable).filter(|value| !value.is_empty()) {
                parameters.entry(keyword.to_owned()).or_insert(value);
            }
        }
        Ok(Self(parameters))
    }

    /// Removes and returns a parameter; an empty value counts as not given, as in libpq.
    pub(super) fn take(&mut self, keyword: &str) -> Option<String> {
        self.0.remove(keyword).filter(|value| !value.is_empty())
    }

    /// What nobody has taken.
    pub(super) fn rest(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// The user's own directory of libpq files, `~/.postgresql`.
pub(super) fn home_file(source: &dyn Source, name: &str) -> Option<PathBuf> {
    source.variable("HOME").map(|home| Path::new(&home).join(name))
}

/// One service's parameters from the service files (PostgreSQL documentation, 34.17).
fn service(name: &str, file: Option<&str>, source: &dyn Source) -> Result<Vec<(String, String)>, String> {
    let mut files: Vec<PathBuf> = Vec::new();
    match file {
        Some(file) => files.push(PathBuf::from(file)),
        None => files.extend(home_file(source, ".pg_service.conf")),
    }
    if let Some(directory) = source.variable("PGSYSCONFDIR") {
        files.push(Path::new(&directory).join("pg_service.conf"));
    }
    for path in &files {
        let text = match source.read_small(path) {
            Ok(text) => text,
            // Only a file that was named must exist.
            Err(error) if file.is_some() && Some(path) == files.first() => {
                return Err(format!("cannot read the service file {}: {error}", path.display()));
            }
            Err(_) => continue,
        };
        if let Some(found) = section(&text, name, path)? {
            return Ok(found);
        }
    }
    Err(format!("service {name:?} is in none of the service files"))
}

fn section(text: &str, name: &str, path: &Path) -> Result<Option<Vec<(String, String)>>, String> {
    let mut found: Option<Vec<(String, String)>> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            if found.is_some() {
                break;
            }
            if title == name {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(parameters) = found.as_mut() else { continue };
        let Some((keyword, value)) = line.split_once('=') else {
            return Err(format!(
                "line {} of the service file {} has no `=`",
                at + 1,
                path.display()
            ));
        };
        parameters.push((keyword.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FixedSource;

    fn gathered(text: &str, source: &FixedSource) -> Vec<(String, String)> {
        Parameters::gather(text, source).unwrap().rest().into_iter().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_string_beats_the_service_which_beats_the_environment() {
        let source = FixedSource::new()
            .with_variable("HOME", "/home/u")
            .with_variable("PGHOST", "env")
            .with_variable("PGUSER", "env")
            .with_variable("PGPORT", "1")
            .with_file(
                "/home/u/.pg_service.conf",
                "# c\n[other]\nhost=no\n[app]\nhost=svc\nuser = svc\n\n[z]\nport=9\n",
            );
        assert_eq!(
            gathered("host=str service=app", &source),
            pairs(&[("host", "str"), ("port", "1"), ("user", "svc")])
        );
    }

    #[test]
    fn a_missing_service_or_service_file_is_an_error() {
        let source = FixedSource::new().with_variable("PGSERVICE", "app");
        let error = Parameters::gather("", &source).err().unwrap();
        assert_eq!(
            error.to_string(),
            r#"connection string: service "app" is in none of the service files"#
        );
        let error = Parameters::gather("servicefile=/x", &source).err().unwrap();
        assert!(error.to_string().contains("cannot read the service file /x"), "{error}");
        let source = source.with_file("/x", "[app]\nhost\n");
        let error = Parameters::gather("servicefile=/x", &source).err().unwrap();
        assert_eq!(
            error.to_string(),
            "connection string: line 2 of the service file /x has no `=`"
        );
    }
}
