//! Small puts that meet are written in one transaction, and each of them is told the truth about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs};
use crate::support::pgbouncer::Bouncer;
use crate::support::process::Process;
use crate::support::seed::{Dice, Points};
use crate::support::server::Server;

type Putting = JoinHandle<Result<Value, Status>>;

/// A table that somebody has locked, and a server whose puts wait for it.
struct Locked {
    database: Database,
    server: Server,
    commit: &'static str,
    lock: tokio_postgres::Client,
}

impl Locked {
    /// Puts that prepare what is kept come first, so that rows below 0 are there.
    async fn table(create: &str, commit: &'static str, group: Value) -> Self {
        let database = Database::create().await;
        database.execute(create).await;
        let server = Server::start_with(database.uri(), json!({"group_commit": group})).await;
        // What is kept of the table is believed in sessions that were there before it: so several at once first, and then again in each.
        let at_once = (-4..0).map(async |id| {
            let mut flight = Flight::connect(&server).await;
            put(&mut flight, commit, id).await.expect("a good row");
        });
        futures::future::join_all(at_once).await;
        let mut flight = Flight::connect(&server).await;
        for id in -16..-4 {
            put(&mut flight, commit, id).await.expect("a good row");
        }
        let lock = database.connect().await;
        lock.batch_execute("begin; lock table t in share mode")
            .await
            .expect("nobody has it");
        Self {
            database,
            server,
            commit,
            lock,
        }
    }

    /// Puts of one row each that run into the lock, the first before all others.
    async fn puts(&self, ids: &[i64]) -> Vec<Putting> {
        let mut running = Vec::new();
        for (number, id) in ids.iter().copied().enumerate() {
            let (http, commit) = (self.server.http(), self.commit);
            let mut flight = Flight::reach(&http).await;
            running.push(tokio::spawn(async move { put(&mut flight, commit, id).await }));
            if number == 0 {
                self.database
                    .wait_for("select count(*) > 0 from pg_locks where relation = 't'::regclass and not granted")
                    .await;
            }
        }
        // They are on their way, and nothing tells from outside that they wait.
        tokio::time::sleep(Duration::from_millis(500)).await;
        running
    }

    async fn unlock(&self) {
        self.lock.batch_execute("commit").await.expect("it is open");
    }

    /// Rows of each transaction, the smallest first.
    async fn transactions(&self) -> Vec<i64> {
        let counted = "select count(*) from t where id >= 0 group by xmin order by 1";
        let rows = self.database.query(counted, &[]).await;
        rows.iter().map(|row| row.get(0)).collect()
    }
}

async fn put(flight: &mut Flight, commit: &str, id: i64) -> Result<Value, Status> {
    let to = command(json!({"table": "t", "commit": commit}));
    flight.put(to, &[batch(vec![("id", longs([id]))])]).await
}

async fn ended(putting: Vec<Putting>) -> Vec<Result<Value, Status>> {
    let mut all = Vec::new();
    for put in putting {
        all.push(put.await.expect("a put's task"));
    }
    all
}

const PATIENT: &str = "30s";

#[tokio::test(flavor = "multi_thread")]
async fn puts_that_come_while_one_commits_go_together_and_each_is_acknowledged() {
    for commit in ["atomic", "batch"] {
        let locked = Locked::table("create table t (id bigint)", commit, json!({"max_wait": PATIENT})).await;
        let puts = locked.puts(&[0, 1, 2, 3, 4, 5, 6, 7]).await;
        locked.unlock().await;
        for answer in ended(puts).await {
            let answer = answer.expect("a good row");
            assert_eq!(
                (&answer["committed"], &answer["affected"]),
                (&json!(1), &json!(1)),
                "{answer}"
            );
        }
        let transactions = locked.transactions().await;
        assert_eq!(transactions.iter().sum::<i64>(), 8, "{commit}");
        // One that came late on a busy machine went by itself.
        assert!(transactions.last() >= Some(&4), "{commit}: {transactions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_rows_go_together_than_may() {
    let group = json!({"max_wait": PATIENT, "max_rows": 2});
    let locked = Locked::table("create table t (id bigint)", "atomic", group).await;
    let puts = locked.puts(&[0, 1, 2, 3, 4, 5, 6]).await;
    locked.unlock().await;
    assert!(ended(puts).await.iter().all(Result::is_ok));
    let transactions = locked.transactions().await;
    assert_eq!(transactions.iter().sum::<i64>(), 7);
    assert_eq!(transactions.last(), Some(&2), "{transactions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_waits_for_others_no_longer_than_it_may() {
    for max_wait in ["0s", "100ms"] {
        let locked = Locked::table("create table t (id bigint)", "atomic", json!({"max_wait": max_wait})).await;
        let puts = locked.puts(&[0, 1, 2, 3]).await;
        // Each is in a transaction of its own by now, and waits for the lock itself.
        let waiting = "select count(*) = 4 from pg_locks where relation = 't'::regclass and not granted";
        locked.database.wait_for(waiting).await;
        locked.unlock().await;
        assert!(ended(puts).await.iter().all(Result::is_ok));
        assert_eq!(locked.transactions().await, [1, 1, 1, 1], "{max_wait}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_fails_its_own_put_and_no_other() {
    for commit in ["atomic", "batch"] {
        let create = "create table t (id bigint primary key check (id <> 13))";
        let locked = Locked::table(create, commit, json!({"max_wait": PATIENT})).await;
        let puts = locked.puts(&[0, 1, 2, 13, 4, 5, 4, -2]).await;
        locked.unlock().await;
        let answers = ended(puts).await;
        let code = |at: usize| answers[at].as_ref().err().map(Status::code);
        for good in [0, 1, 2, 5] {
            assert_eq!(code(good), None, "{commit}: {answers:?}");
        }
        assert_eq!(code(3), Some(Code::FailedPrecondition), "{commit}: {answers:?}");
        assert_eq!(
            code(7),
            Some(Code::AlreadyExists),
            "{commit}: its key was there: {answers:?}"
        );
        let twice = [code(4), code(6)];
        assert!(
            twice.contains(&None) && twice.contains(&Some(Code::AlreadyExists)),
            "{commit}: {answers:?}"
        );
        let ids = locked.database.lines("select id from t where id >= 0 order by 1").await;
        assert_eq!(ids, ["0", "1", "2", "4", "5"], "{commit}");
    }
}

/// Three puts, of which the first commits and the others wait; one of their clients goes away, and the others are acknowledged.
async fn without(gone: usize) -> Locked {
    let locked = Locked::table("create table t (id bigint)", "atomic", json!({"max_wait": PATIENT})).await;
    let puts = locked.puts(&[0, 1, 2]).await;
    puts[gone].abort();
    tokio::time::sleep(Duration::from_millis(300)).await;
    locked.unlock().await;
    for (number, put) in puts.into_iter().enumerate().filter(|(number, _)| *number != gone) {
        let put = put
            .await
            .unwrap_or_else(|error| panic!("the task of put {number}: {error}"));
        put.expect("a good row");
    }
    locked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_while_it_waits_takes_its_row_along() {
    let stored = "select id from t where id >= 0 order by 1";
    assert_eq!(without(2).await.database.lines(stored).await, ["0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_while_it_commits_takes_no_other_row_along() {
    let stored = "select id from t where id > 0 order by 1";
    assert_eq!(without(0).await.database.lines(stored).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_changed_while_puts_wait_gets_all_their_rows() {
    for change in [
        "alter table t alter id type numeric",
        "alter table t add column more int not null default 7",
        "truncate t",
        "alter table t rename to was; create table t (id text)",
    ] {
        let locked = Locked::table("create table t (id bigint)", "atomic", json!({"max_wait": PATIENT})).await;
        let puts = locked.puts(&[0, 1, 2, 3, 4]).await;
        let changing = format!("{change}; commit");
        locked.lock.batch_execute(&changing).await.expect("it has the lock");
        let answers = ended(puts).await;
        assert!(answers.iter().all(Result::is_ok), "{change}: {answers:?}");
        let rows = locked
            .database
            .value("select count(*) from t where id::text >= '0'")
            .await;
        assert_eq!(rows, "5", "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_of_puts_that_go_together_is_no_client_s_business() {
    let create = "create table t (id bigint primary key)";
    let locked = Locked::table(create, "atomic", json!({"max_wait": PATIENT})).await;
    let other = locked.database.connect().await;
    let puts = locked.puts(&[0, 1, 2, 3]).await;
    locked
        .lock
        .batch_execute("rollback; begin; insert into t values (2)")
        .await
        .expect("its own row");
    locked
        .database
        .wait_for("select count(*) > 0 from pg_locks where locktype = 'transactionid' and not granted")
        .await;
    // Those that go together have a row of this key by now and wait for that one.
    let deadlocked = locked.lock.batch_execute("insert into t values (1)").await;
    drop(locked.lock.batch_execute("rollback").await);
    println!("{deadlocked:?}");
    for answer in ended(puts).await {
        answer.expect("a good row");
    }
    let ids = other
        .query("select id from t where id >= 0 order by 1", &[])
        .await
        .expect("the table");
    assert_eq!(
        ids.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
}

/// A pooler lends each of them a session for its transaction, in which nothing of ours is kept.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn behind_a_pooler_each_put_has_a_transaction_of_its_own_and_its_own_answer() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint primary key check (id <> 13))")
        .await;
    let bouncer = Bouncer::before(database.uri(), &["default_pool_size = 4"]);
    let server = Server::start_with(bouncer.uri(), json!({"group_commit": {"max_wait": PATIENT}})).await;
    for commit in ["atomic", "batch"] {
        let first = if commit == "atomic" { 0 } else { 100 };
        let puts = [first, first + 1, first + 2, 13, first + 3, first + 3, first + 4].map(|id| {
            let http = server.http();
            tokio::spawn(async move {
                let mut flight = Flight::reach(&http).await;
                put(&mut flight, commit, id).await
            })
        });
        let answers = ended(puts.into()).await;
        let good = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(good, 5, "{commit}: {answers:?}");
        assert_eq!(
            answers[3].as_ref().err().map(Status::code),
            Some(Code::FailedPrecondition),
            "{answers:?}"
        );
    }
    let each = "select count(*), count(distinct xmin::text) from t";
    assert_eq!(database.lines(each).await, ["10|10"]);
}

/// Our process is killed while many clients put single rows: what was acknowledged is there, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_amid_puts_that_go_together_loses_and_doubles_nothing() {
    const CLIENTS: i64 = 16;
    let mut dice = Dice::throw("killed service, puts that go together");
    let database = Database::create().await;
    database.execute("create table t (id bigint)").await;
    // On a busy machine a commit may take longer than puts wait for it.
    let mut process = Process::start(database.uri(), &[("group_commit.max_wait", PATIENT)]).await;
    let mut acknowledged = BTreeMap::new();
    let mut sent = 0_i64;
    for round in Points::short(6).rounds() {
        let commit = if round % 2 == 0 { "atomic" } else { "batch" };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (http, first) = (process.http(), sent + client * 100_000);
                tokio::spawn(async move {
                    let mut flight = Flight::reach(&http).await;
                    let mut there = Vec::new();
                    for id in first.. {
                        match put(&mut flight, commit, id).await {
                            Ok(answer) if answer["committed"] == 1 => there.push(id),
                            Ok(answer) => panic!("{answer}"),
                            Err(_) => break,
                        }
                    }
                    there
                })
            })
            .collect();
        sent += CLIENTS * 100_000;
        tokio::time::sleep(Duration::from_millis(dice.number(800..2_000))).await;
        process.kill();
        for client in clients {
            for id in client.await.expect("a client's task") {
                acknowledged.insert(id, round);
            }
        }
        process.start_again().await;
    }
    let context = format!("seed {}", dice.seed);
    database
        .wait_for(
            "select count(*) = 0 from pg_stat_activity where datname = current_database() and state like 'idle in%'",
        )
        .await;
    let there: Vec<i64> = database
        .query("select id from t order by 1", &[])
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    let once: std::collections::BTreeSet<i64> = there.iter().copied().collect();
    assert_eq!(once.len(), there.len(), "rows are doubled: {context}");
    let lost: Vec<_> = acknowledged.keys().filter(|id| !once.contains(id)).collect();
    assert!(lost.is_empty(), "{lost:?} are lost: {context}");
    let together = database
        .value("select coalesce(max(n), 0) from (select count(*) as n from t group by xmin) as each")
        .await;
    assert!(
        together.parse::<i64>().expect("a number") > 1,
        "A10 nothing went together: {context}"
    );
    println!("{} acknowledged, up to {together} together", acknowledged.len());
}
