//! Who a request is from: travels from the door through the core, so that stream ids, limits and access rules
//! have one place to look. Anonymous until authentication is configured.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Identity and origin of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The authenticated principal.
    pub principal: Principal,
    /// Remote address, where the transport has one.
    pub peer: Option<SocketAddr>,
    /// W3C `traceparent` header as received, for logs and spans.
    pub traceparent: Option<Arc<str>>,
}

/// The name under which a caller acts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// No authentication was asked for.
    Anonymous,
    /// A named principal from the `auth` configuration.
    Named(Arc<str>),
}

impl Principal {
    /// The name under which state is kept for it; empty without authentication.
    pub fn namespace(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::Named(name) => name,
        }
    }
}

/// Between whom what is scarce is shared out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// A principal, whatever it connects from.
    Principal(Arc<str>),
    /// Nobody said who it is: the machine then, since one client may open any number of connections.
    Address(Option<IpAddr>),
}

impl From<&Caller> for Party {
    fn from(caller: &Caller) -> Self {
        match &caller.principal {
            Principal::Named(name) => Self::Principal(Arc::clone(name)),
            Principal::Anonymous => Self::Address(caller.peer.map(|peer| peer.ip())),
        }
    }
}

impl Caller {
    /// A caller without identity, as when `auth` is not configured.
    pub fn anonymous() -> Self {
        Self {
            principal: Principal::Anonymous,
            peer: None,
            traceparent: None,
        }
    }
}
