//! A PgBouncer in transaction mode in front of a test's database, with one server connection, and another program that is lent the
//! same one and looks after its session.
//!
//! `scripts/pgbouncer` runs it: the one of this machine, or Debian's package, brought once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// With this variable every server of this process is behind a PgBouncer, which has the lines of its value in its configuration.
pub(crate) const ASKED: &str = "PGFLIGHT_TEST_THROUGH_PGBOUNCER";

/// Lines of the configuration, where it is asked for.
pub(crate) fn asked_for() -> Option<String> {
    std::env::var(ASKED).ok()
}

/// A running PgBouncer; ended when dropped.
#[derive(Debug)]
pub(crate) struct Bouncer {
    child: Child,
    uri: String,
}

impl Bouncer {
    /// One in front of the server of this connection string; `settings` are lines of its configuration.
    pub(crate) fn before(connection_string: &str, settings: &[&str]) -> Self {
        let (head, rest) = connection_string.rsplit_once(':').expect("a port");
        let (port, database) = rest.split_once('/').expect("a database");
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/pgbouncer"))
            .args(["run", port])
            .args(settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/pgbouncer starts");
        let mut line = String::new();
        let mut answers = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        answers.read_line(&mut line).expect("a port");
        assert!(
            !line.is_empty(),
            "scripts/pgbouncer ended: its message is on standard error"
        );
        Self {
            child,
            uri: format!("{head}:{}/{database}", line.trim()),
        }
    }

    /// The database through PgBouncer.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// What the other program sets for its session: all of it would change what we do, if it counted.
const ITS_OWN: &str = "set search_path = elsewhere, pg_catalog; set intervalstyle = 'iso_8601'; set bytea_output = 'escape'; \
    set extra_float_digits = -3; set lock_timeout = '11s'; set statement_timeout = '77s'; \
    set idle_in_transaction_session_timeout = '55s'; set synchronous_commit = off; set transform_null_equals = on; \
    set quote_all_identifiers = on; set array_nulls = off; set session_replication_role = replica; \
    set session characteristics as transaction isolation level serializable, read only; set role pg_read_all_data";

/// The settings of a session as its owner sees it. Those of an extension are there once its library is loaded, and some are those of
/// the transaction that asks.
const SETTINGS: &str = "select name || '=' || setting from pg_catalog.pg_settings \
    where (name not like '%.%' or source <> 'default') \
    and name not in ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable') order by 1";

/// What else there may be in a session.
const REST: [&str; 5] = [
    "select 'statement ' || name from pg_catalog.pg_prepared_statements order by 1",
    "select 'temporary ' || relname from pg_catalog.pg_class where relnamespace = pg_catalog.pg_my_temp_schema() order by 1",
    "select 'lock ' || objid::text from pg_catalog.pg_locks where locktype = 'advisory' and pid = pg_backend_pid() order by 1",
    "select 'cursor ' || name from pg_catalog.pg_cursors order by 1",
    "select 'channel ' || channel from pg_catalog.pg_listening_channels() as channel order by 1",
];

/// Another program behind the same PgBouncer.
#[derive(Debug)]
pub(crate) struct Neighbour {
    client: tokio::sync::Mutex<Client>,
    /// Whether it looks at nothing else.
    settings_only: bool,
    seen: Mutex<Seen>,
    looks: AtomicUsize,
}

#[derive(Debug, Default)]
struct Seen {
    /// A session that nobody has had.
    untouched: Option<Vec<String>>,
    /// As this program left them, by the server's process.
    own: BTreeMap<String, Vec<String>>,
}

/// By address, for as long as a test has one: a later server may get the same port.
static NEIGHBOURS: Mutex<BTreeMap<String, Weak<Neighbour>>> = Mutex::new(BTreeMap::new());

impl Neighbour {
    /// One that watches the puts of all clients of the server at `http`, before its first one.
    pub(crate) async fn move_in(uri: &str, http: &str) -> Arc<Self> {
        Self::come(uri, http, false).await
    }

    /// The same, of settings only.
    pub(crate) async fn move_in_for_settings(uri: &str, http: &str) -> Arc<Self> {
        Self::come(uri, http, true).await
    }

    async fn come(uri: &str, http: &str, settings_only: bool) -> Arc<Self> {
        let (client, connection) = tokio_postgres::connect(&format!("{uri}?application_name=neighbour"), NoTls)
            .await
            .expect("PgBouncer answers");
        tokio::spawn(connection);
        client
            .batch_execute("create schema if not exists elsewhere")
            .await
            .expect("a new schema");
        let neighbour = Arc::new(Self {
            client: tokio::sync::Mutex::new(client),
            settings_only,
            seen: Mutex::default(),
            looks: AtomicUsize::new(0),
        });
        neighbour.look().await;
        let mut all = NEIGHBOURS.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(http.to_owned(), Arc::downgrade(&neighbour));
        neighbour
    }

    pub(crate) fn of(http: &str) -> Option<Arc<Self>> {
        let all = NEIGHBOURS.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(http)?.upgrade()
    }

    /// How often the session was found to be as this program had left it.
    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// Panics if anybody changed the session. One that PgBouncer has opened anew must be as the first one was.
    pub(crate) async fn look(&self) {
        let client = self.client.lock().await;
        // In one transaction, so in one session.
        client.batch_execute("begin").await.expect("a transaction");
        let process = process(&client).await;
        let found = self.session(&client).await;
        let (known, expected) = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let own = seen.own.get(&process).cloned();
            (own.is_some(), own.or_else(|| seen.untouched.clone()))
        };
        if let Some(expected) = expected {
            let changed: Vec<&String> = found.iter().filter(|line| !expected.contains(line)).collect();
            let gone: Vec<&String> = expected.iter().filter(|line| !found.contains(line)).collect();
            assert!(
                changed.is_empty() && gone.is_empty(),
                "the session has {changed:?} instead of {gone:?}"
            );
        }
        if known {
            self.looks.fetch_add(1, Ordering::Relaxed);
            println!("the neighbour's session is as it was");
        } else {
            client.batch_execute(ITS_OWN).await.expect("settings of its own");
            let own = self.session(&client).await;
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.untouched.get_or_insert(found);
            seen.own.insert(process, own);
        }
        client.batch_execute("commit").await.expect("its end");
    }

    async fn session(&self, client: &Client) -> Vec<String> {
        let mut all = lines(client, SETTINGS).await;
        for question in REST.iter().filter(|_| !self.settings_only) {
            all.extend(lines(client, question).await);
        }
        all
    }
}

/// Which session a program is lent by a pooler that has only one, and what is in it.
pub(crate) async fn lent(uri: &str) -> (String, Vec<String>) {
    let (client, connection) = tokio_postgres::connect(&format!("{uri}?application_name=neighbour"), NoTls)
        .await
        .expect("PgBouncer answers");
    tokio::spawn(connection);
    let mut all = lines(&client, SETTINGS).await;
    for question in REST {
        all.extend(lines(&client, question).await);
    }
    (process(&client).await, all)
}

async fn process(client: &Client) -> String {
    lines(client, "select pg_catalog.pg_backend_pid()").await.remove(0)
}

async fn lines(client: &Client, question: &str) -> Vec<String> {
    let answer = client.simple_query(question).await.expect("an answer");
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}
