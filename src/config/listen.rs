//! Addresses to listen on.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A TCP address or a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host (a name, or an IP address without brackets) and port; port 0 takes a free one.
    Tcp {
        /// Name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
    /// Path of a socket that is created.
    Unix(PathBuf),
}

/// What an address must look like, for error messages.
pub const ADDRESS_FORM: &str = "host:port such as 127.0.0.1:8815, or unix:/path";

impl ListenAddress {
    /// True when only this machine can reach the address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host == "localhost"
                    || host
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("is {text:?}; allowed: {ADDRESS_FORM}");
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix://` is gRPC's spelling of the same.
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() {
                Err(malformed())
            } else {
                Ok(Self::Unix(PathBuf::from(path)))
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let unbracketed_ipv6 = bare == host && host.contains(':');
        let odd = bare.contains(|c: char| c.is_whitespace() || c == '/' || c == '[' || c == ']');
        if bare.is_empty() || odd || unbracketed_ipv6 {
            return Err(malformed());
        }
        Ok(Self::Tcp {
            host: bare.to_owned(),
            port: port.parse().map_err(|_| malformed())?,
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_print_back() {
        for (text, local) in [
            ("127.0.0.1:8815", true),
            ("localhost:0", true),
            ("[::1]:80", true),
            ("0.0.0.0:8815", false),
            ("db.example:1", false),
            ("unix:/tmp/x.sock", true),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_local()), (text, local));
        }
        assert_eq!("unix:///tmp/x".parse(), Ok(ListenAddress::Unix("/tmp/x".into())));
    }

    #[test]
    fn text_that_is_no_address_is_refused_with_the_form_that_is() {
        for text in [
            "8815",
            "host",
            "host:",
            "host:70000",
            ":8815",
            "::1:80",
            "http://h:1",
            "unix:",
            "a b:1",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert_eq!(error, format!("is {text:?}; allowed: {ADDRESS_FORM}"));
        }
    }
}
