//! The six values of `sslmode`, with libpq's meaning (PostgreSQL documentation, table 34.1).

use std::fmt;

/// How TLS is used, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Plain text; TLS when the server refuses that.
    Allow,
    /// TLS; plain text when the server has none.
    Prefer,
    /// TLS. The certificate is not verified, unless a root certificate is present: then as `verify-ca`.
    Require,
    /// TLS, with a certificate that a known authority signed.
    VerifyCa,
    /// TLS, and the certificate is for the host that was asked for.
    VerifyFull,
}

impl SslMode {
    const ALL: [Self; 6] = [
        Self::Disable,
        Self::Allow,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];

    /// The mode of this name.
    ///
    /// # Errors
    /// The rest of a sentence that begins with `sslmode`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::as_str).collect();
            format!("sslmode is {text:?}; allowed: {}", names.join(", "))
        })
    }

    /// The mode's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
