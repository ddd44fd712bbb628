//! What the HTTP door serves and whom. Does nothing itself.

use crate::server::auth::Authenticator;
use crate::server::flight::put::PutContext;

/// What the door serves and whom. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpDoor {
    /// The core, as for Flight.
    pub put: PutContext,
    /// Who is let in.
    pub authenticator: Authenticator,
    /// Largest message, row of text or file that is taken.
    pub most_bytes: usize,
}
