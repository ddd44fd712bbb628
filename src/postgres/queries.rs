//! Every statement that lives in `sql/`, by name. Nothing else includes those files, and no SQL text is built here.

/// One table, its columns, keys and types, and facts about the server, as one JSON document.
pub const CATALOG_TABLE: &str = include_str!("../../sql/catalog/table.sql");

/// Size of a table, for changes that rewrite it.
pub const CATALOG_DEPTH: &str = include_str!("../../sql/catalog/depth.sql");

/// Waits for a table's migration lock.
pub const MIGRATE_TAKE_TURN: &str = include_str!("../../sql/migrate/take_turn.sql");

/// Sets `lock_timeout` for the rest of the transaction.
pub const MIGRATE_SET_LOCK_TIMEOUT: &str = include_str!("../../sql/migrate/set_lock_timeout.sql");

/// Sets `lock_timeout` for the session.
pub const MIGRATE_SESSION_LOCK_TIMEOUT: &str = include_str!("../../sql/migrate/session_lock_timeout.sql");

/// Who holds the locks that a migration waited for.
pub const MIGRATE_BLOCKERS: &str = include_str!("../../sql/migrate/blockers.sql");

/// What `check` reports about the server, the login and the target schema.
pub const CHECK_SERVER: &str = include_str!("../../sql/check/server.sql");

/// What the catalog guesses a table's rows and bytes to be.
pub const READ_ESTIMATE: &str = include_str!("../../sql/read/estimate.sql");

/// Tables that can be read, page by page.
pub const READ_TABLES: &str = include_str!("../../sql/read/tables.sql");
