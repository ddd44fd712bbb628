//! Work that takes the processor for long leaves the threads that serve all streams, so that others go on meanwhile. Starts no
//! task: the work is done when the call returns.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does `work` where it holds up no other stream. Costs some microseconds, so what is short stays where it is.
#[expect(
    clippy::disallowed_methods,
    reason = "the work borrows what is read, and the runtime is looked at first"
)]
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // With one thread for everything there is no place to go to.
        _ => work(),
    }
}

/// Bytes that are read or made in less than a millisecond.
const LARGE: usize = 1 << 20;

/// Does `work` on so many bytes: here where that is short, else [`aside`].
pub fn aside_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    match bytes > LARGE {
        true => aside(work),
        false => work(),
    }
}
