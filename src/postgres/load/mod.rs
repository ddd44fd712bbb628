//! One load into one table. Implements the core's ports. What a load may do is planned in `planner`, its bytes are made in `codec`.
//!
//! - `commit: atomic` ([`atomic`]): one transaction on one connection; nothing is visible before `finish`.
//! - `commit: batch` ([`batch`]): each chunk is a transaction of its own and durable when its `write` returns.
//!
//! Rows are appended straight by COPY; an overwrite goes through a staging table, except into an empty table for as long
//! as no key comes twice; a replace is loaded beside and swapped in at the end. A chunk is one COPY statement, because the
//! driver shows a server error only at the end of a COPY. A connection whose COPY failed is closed: the driver and the
//! server may disagree about what comes next on it. With `on_bad_row: reject` cells are checked first, and a COPY that the
//! server refused is undone to a savepoint (`sifted`, `sieve`). `retry` decides what is run again, `outcome` and `stream`
//! find out what became of a COMMIT that was not answered, by a row that commits with it (`commits`, `mark`, `proof`), `lost` ends what a
//! broken connection left behind, `spare` gives the connections of silent clients to others. Plans are made once and used again
//! (`known`) for as long as the table is what it was (`stamp`); small puts that meet are written together (`together`, `waiting`).

mod atomic;
mod atomic_begin;
mod atomic_stream;
mod atomic_whole;
mod batch;
mod bounds;
mod commands;
mod commits;
mod copy_in;
mod destination;
mod factory;
mod finished;
mod halve;
mod known;
mod left_out;
mod look;
mod lost;
mod mark;
mod matching;
mod named;
mod open;
mod opened;
mod outcome;
mod patience;
mod plan;
mod port;
mod presence;
mod probe;
mod proof;
mod ready;
mod refusals;
mod reject;
mod retain;
mod retry;
mod room;
mod rows;
mod shared;
mod sieve;
mod sifted;
mod spare;
mod stale;
mod stamp;
mod stream;
mod suppressed;
mod together;
mod transaction;
mod unchanged;
mod waiting;
mod wish;

pub use destination::{PgDestination, RETAINED_SHARE};
pub use factory::{Login, Made, PgDestinations};
pub use proof::Mark;
