//! Work that takes the processor for long leaves the threads that serve all streams, so that others go on meanwhile. Starts no
//! task: the work is done when the call returns.

use std::sync::LazyLock;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

/// How much of such work is done at once: as many as there are processors. More would be no sooner done together, and each of them would
/// take its share of time from the threads that serve the streams: 64 of them held up a put of one row for seconds.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism();
    Semaphore::new(processors.map_or(1, std::num::NonZero::get))
});

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

/// Does `work` on so many bytes: here where that is short, else [`aside`] in its turn.
pub async fn aside_if_large<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes <= LARGE {
        return work();
    }
    // Nobody closes it, so there is always a place at last. It is waited for here and not on a thread, of which each waiting work
    // would take one.
    let _place = PLACES.acquire().await;
    aside(work)
}
