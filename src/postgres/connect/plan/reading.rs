//! Single parameters read into what the plan holds. Each error is one sentence that names the parameter.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;

use super::{PoolHints, SessionAttrs, Target};
use crate::config::{Secret, Source};
use crate::model::duration::GoDuration;
use crate::postgres::connect::parameters::{Parameters, home_file};
use crate::postgres::connect::passfile::{self, Login};

pub(super) fn refuse_unsupported(parameters: &mut Parameters) -> Result<(), String> {
    let encoding = parameters.take("client_encoding").unwrap_or_default();
    if !["", "auto"].contains(&encoding.as_str()) && encoding.to_lowercase().replace('-', "") != "utf8" {
        return Err(format!(
            "client_encoding is {encoding:?}; allowed: UTF8, because rows are sent as UTF-8"
        ));
    }
    if parameters.take("gssencmode").is_some_and(|mode| mode == "require") {
        return Err("gssencmode=require is not supported; use TLS".to_owned());
    }
    for keyword in [
        "require_auth",
        "sslcrldir",
        "replication",
        "requirepeer",
        "gssdelegation",
        "scram_client_key",
    ] {
        // Each of these asks for something that would silently not happen.
        if parameters
            .take(keyword)
            .is_some_and(|value| value != "0" && value != "false")
        {
            return Err(format!("{keyword} is not supported; remove it"));
        }
    }
    Ok(())
}

pub(super) fn targets(parameters: &mut Parameters, source: &dyn Source) -> Result<Vec<Target>, String> {
    let list = |text: Option<String>| -> Vec<String> {
        text.map(|text| text.split(',').map(|item| item.trim().to_owned()).collect())
            .unwrap_or_default()
    };
    let hosts = list(parameters.take("host"));
    let addresses = list(parameters.take("hostaddr"));
    let ports = list(parameters.take("port"));
    let count = hosts.len().max(addresses.len()).max(1);
    if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
        return Err(format!(
            "host has {} entries and hostaddr {}",
            hosts.len(),
            addresses.len()
        ));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(format!(
            "port has {} entries for {count} hosts; allowed: one, or one for each",
            ports.len()
        ));
    }
    let mut targets = Vec::with_capacity(count);
    for at in 0..count {
        let port = match ports.get(at).or_else(|| ports.first()).map_or("", String::as_str) {
            "" => 5432,
            text => text
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| format!("port is {text:?}; allowed: a number from 1 to 65535"))?,
        };
        let hostaddr = match addresses.get(at).map_or("", String::as_str) {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| format!("hostaddr {text:?} is not an IP address"))?,
            ),
        };
        let host = match (hosts.get(at).map_or("", String::as_str), hostaddr) {
            ("", Some(address)) => IpAddr::to_string(&address),
            ("", None) => default_host(port, source),
            (host, _) => host.to_owned(),
        };
        targets.push(Target {
            host,
            hostaddr,
            port,
            password: None,
        });
    }
    Ok(targets)
}

/// libpq's default: the local socket, where packages put it, else this machine over TCP.
fn default_host(port: u16, source: &dyn Source) -> String {
    let directories = ["/var/run/postgresql", "/tmp"];
    let found = directories.into_iter().find(|directory| {
        let socket = Path::new(directory).join(format!(".s.PGSQL.{port}"));
        source.permissions(&socket).is_ok()
    });
    found.unwrap_or("localhost").to_owned()
}

pub(super) fn passwords(
    targets: &mut [Target],
    parameters: &mut Parameters,
    (user, database): (&str, &str),
    source: &dyn Source,
    warnings: &mut Vec<String>,
) {
    let password = parameters.take("password");
    let passfile = parameters
        .take("passfile")
        .map(PathBuf::from)
        .or_else(|| home_file(source, ".pgpass"));
    for target in targets {
        if let Some(password) = &password {
            target.password = Some(Secret::new(password));
            continue;
        }
        let Some(path) = &passfile else { continue };
        let default_socket = ["/var/run/postgresql", "/tmp"].contains(&target.host.as_str());
        let host = if default_socket { "localhost" } else { &target.host };
        match passfile::password(
            path,
            &Login {
                host,
                port: target.port,
                database,
                user,
            },
            source,
        ) {
            Ok(password) => target.password = password.map(Secret::new),
            Err(warning) if !warnings.contains(&warning) => warnings.push(warning),
            Err(_) => {}
        }
    }
}

pub(super) fn driver_settings(base: &mut Config, parameters: &mut Parameters) -> Result<(), String> {
    base.application_name(parameters.take("application_name").as_deref().unwrap_or("pgflight"));
    if let Some(options) = parameters.take("options") {
        base.options(options);
    }
    let bindings = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    if let Some(binding) = word(parameters, "channel_binding", &bindings)? {
        base.channel_binding(binding);
    }
    base.keepalives(number::<i64>(parameters, "keepalives")?.unwrap_or(1) != 0);
    // Without these a dead peer is noticed after two hours only.
    base.keepalives_idle(Duration::from_secs(
        number(parameters, "keepalives_idle")?.unwrap_or(60),
    ));
    base.keepalives_interval(Duration::from_secs(
        number(parameters, "keepalives_interval")?.unwrap_or(10),
    ));
    base.keepalives_retries(number(parameters, "keepalives_count")?.unwrap_or(6));
    let unacknowledged = number(parameters, "tcp_user_timeout")?.unwrap_or(30_000);
    if unacknowledged != 0 {
        base.tcp_user_timeout(Duration::from_millis(unacknowledged));
    }
    Ok(())
}

pub(super) fn session_attrs(parameters: &mut Parameters) -> Result<SessionAttrs, String> {
    let words = [
        ("any", SessionAttrs::Any),
        ("read-write", SessionAttrs::ReadWrite),
        ("read-only", SessionAttrs::ReadOnly),
        ("primary", SessionAttrs::Primary),
        ("standby", SessionAttrs::Standby),
        ("prefer-standby", SessionAttrs::PreferStandby),
    ];
    Ok(word(parameters, "target_session_attrs", &words)?.unwrap_or(SessionAttrs::Any))
}

pub(super) fn pool_hints(parameters: &mut Parameters) -> Result<PoolHints, String> {
    let mut span = |keyword: &str| match parameters.take(keyword) {
        None => Ok(None),
        Some(text) => {
            let span = text
                .parse::<GoDuration>()
                .map_err(|error| format!("{keyword}: {error}"))?;
            Ok::<_, String>(Some(span.get()).filter(|span| !span.is_zero()))
        }
    };
    let max_lifetime = span("pool_max_conn_lifetime")?;
    let idle_timeout = span("pool_max_conn_idle_time")?;
    let max_size = number::<u32>(parameters, "pool_max_conns")?;
    if max_size == Some(0) {
        return Err("pool_max_conns is 0; allowed: a number from 1".to_owned());
    }
    Ok(PoolHints {
        max_size,
        max_lifetime,
        idle_timeout,
    })
}

pub(super) fn number<N: std::str::FromStr>(parameters: &mut Parameters, keyword: &str) -> Result<Option<N>, String> {
    let Some(text) = parameters.take(keyword) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| format!("{keyword} is {text:?}; allowed: a whole number"))
}

pub(super) fn word<T: Copy>(
    parameters: &mut Parameters,
    keyword: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, String> {
    let Some(text) = parameters.take(keyword) else {
        return Ok(None);
    };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    let allowed = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found
        .map(Some)
        .ok_or_else(|| format!("{keyword} is {text:?}; allowed: {}", allowed()))
}
