//! What our role may and may not do: what suffices for Postgres suffices here, what is missing is named with the role before any row,
//! and who is in the way of a load is named, too.

use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::flight_refusals::{refused, rows};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, metadata, path, texts};
use crate::support::server::Server;

/// A database, a role that may do little, and a server that logs in as that role.
struct Scene {
    database: Database,
    role: String,
    server: Server,
}

impl Scene {
    async fn set(tables: &str) -> Self {
        let database = Database::create().await;
        let role = format!("poor_{}", database.name());
        database.execute(&format!("create role {role} login; {tables}")).await;
        let (scheme, rest) = database.uri().split_once("://").expect("a URI");
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        let uri = format!("{scheme}://{role}@{host}");
        let server = Server::start_with(&uri, json!({"retry_timeout": "5m"})).await;
        Self { database, role, server }
    }

    async fn flight(&self) -> Flight {
        Flight::connect(&self.server).await
    }

    /// Runs statements in which `$role` stands for the role.
    async fn execute(&self, statements: &str) {
        self.database.execute(&statements.replace("$role", &self.role)).await;
    }

    async fn end(self) {
        self.server.stop().await;
        self.database
            .execute(&format!("drop owned by {0}; drop role {0}", self.role))
            .await;
    }
}

fn overwrite(more: Value) -> Value {
    let mut options = json!({"table": "t", "write_mode": "overwrite"});
    for (key, value) in more.as_object().expect("an object") {
        options[key] = value.clone();
    }
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_on_the_columns_of_the_stream_suffice() {
    let scene = Scene::set("create table t (id bigint primary key, name text, secret text default 'kept')").await;
    let mut flight = scene.flight().await;
    scene.execute("grant insert (id) on t to $role").await;
    refused(
        flight.put(path(&["t"]), &[rows()]).await,
        Code::PermissionDenied,
        &["public.t", &scene.role, "INSERT (\"name\")"],
    );
    scene.execute("grant insert (name) on t to $role").await;
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["committed"], 2);

    refused(
        flight.put(command(overwrite(json!({}))), &[rows()]).await,
        Code::PermissionDenied,
        &["UPDATE", "SELECT", &scene.role],
    );
    scene.execute("grant update (name), select (id) on t to $role").await;
    refused(
        flight.put(command(overwrite(json!({}))), &[rows()]).await,
        Code::PermissionDenied,
        &["SELECT (\"name\")"],
    );
    scene.execute("grant select (name) on t to $role").await;
    for commit in ["atomic", "batch"] {
        let changed = batch(vec![("id", longs([2, 3])), ("name", texts(&[Some(commit), Some("c")]))]);
        let put = flight
            .put(command(overwrite(json!({"commit": commit}))), &[changed])
            .await;
        assert_eq!(put.unwrap()["committed"], 2, "{commit}");
    }
    assert_eq!(
        scene
            .database
            .value("select string_agg(id || name || secret, ',' order by id) from t where id > 1")
            .await,
        "2batchkept,3ckept"
    );
    let more = batch(vec![("id", longs([9])), ("secret", texts(&[Some("x")]))]);
    refused(
        flight.put(path(&["t"]), &[more]).await,
        Code::PermissionDenied,
        &["INSERT (\"secret\")"],
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mode_needs_of_the_role_is_named_before_any_row() {
    let scene = Scene::set(
        "create table t (id bigint primary key, name text, _cq_source_name text, _cq_sync_time timestamp); \
         insert into t values (1, 'old', 's', '2020-01-01')",
    )
    .await;
    let mut flight = scene.flight().await;
    scene.execute("grant select, insert, update on t to $role").await;
    let replace = || command(json!({"table": "t", "write_mode": "replace"}));
    refused(
        flight.put(replace(), &[rows()]).await,
        Code::PermissionDenied,
        &["replace", "public.t", &scene.role, "GRANT TRUNCATE ON \"public\".\"t\""],
    );
    let stale = || {
        command(overwrite(json!({
            "write_mode": "overwrite-delete-stale", "source_name": "s", "sync_time": "2030-01-01T00:00:00Z",
        })))
    };
    let sync = || {
        let mut sent = messages(stale(), &[rows()]);
        sent.push(metadata(&json!({"commit": {"rows": 2}}).to_string()));
        sent
    };
    refused(
        flight.send(sync()).await,
        Code::PermissionDenied,
        &["public.t", &scene.role, "GRANT DELETE"],
    );
    let stale_rows = || json!({"table": "t", "source_name": "s", "sync_time": "2030-01-01T00:00:00Z"});
    let records = || json!({"table": "t", "where": [{"all": {"id": 7}}]});
    for (action, body) in [
        ("pgflight.delete_stale", stale_rows()),
        ("pgflight.delete_records", records()),
    ] {
        refused(
            flight.act(action, body).await,
            Code::PermissionDenied,
            &["public.t", &scene.role, "GRANT DELETE"],
        );
    }
    assert_eq!(scene.database.value("select string_agg(name, ',') from t").await, "old");
    scene.execute("grant delete, truncate on t to $role").await;
    flight.send(sync()).await.unwrap();
    assert_eq!(
        flight.act("pgflight.delete_stale", stale_rows()).await.unwrap()["deleted"],
        0
    );
    assert_eq!(
        flight.act("pgflight.delete_records", records()).await.unwrap()["deleted"],
        0
    );
    assert_eq!(flight.put(replace(), &[rows()]).await.unwrap()["committed"], 2);
    assert_eq!(scene.database.value("select count(*) from t").await, "2");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_whose_sessions_are_read_only_is_named_at_once() {
    let scene = Scene::set(
        "create table t (id bigint primary key, name text, _cq_source_name text, _cq_sync_time timestamp); \
         grant all on t to public; grant create on schema public to public",
    )
    .await;
    let mut flight = scene.flight().await;
    assert_eq!(flight.put(path(&["t"]), &[rows()]).await.unwrap()["committed"], 2);
    scene
        .execute("alter role $role set default_transaction_read_only = on")
        .await;
    // Sessions that the pool has already keep what they were made with; a new server has new ones.
    let uri = scene.database.uri().replace("postgres@", &format!("{}@", scene.role));
    let server = Server::start_with(&uri, json!({"retry_timeout": "5m"})).await;
    let mut flight = Flight::connect(&server).await;
    let words = [
        "primary",
        "read-only",
        "default_transaction_read_only",
        scene.role.as_str(),
    ];
    let named = async |what: &str, answer: Result<Value, Status>| {
        let status = answer.expect_err(what);
        assert_eq!(status.code(), Code::FailedPrecondition, "{what}: {status}");
        for word in words {
            assert!(status.message().contains(word), "{what}: {status}");
        }
    };
    let at_once = async {
        named("a put", flight.put(path(&["t"]), &[rows()]).await).await;
        named("a new table", flight.put(path(&["new"]), &[rows()]).await).await;
        let batches = command(overwrite(json!({"commit": "batch"})));
        named("an overwrite", flight.put(batches, &[rows()]).await).await;
        let stale = json!({"table": "t", "source_name": "s", "sync_time": "2030-01-01T00:00:00Z"});
        named("a deletion", flight.act("pgflight.delete_stale", stale).await).await;
        let records = json!({"table": "t", "where": [{"all": {"id": 1}}]});
        named("records", flight.act("pgflight.delete_records", records).await).await;
        let open = json!({"table": "t", "stream_id": "s"});
        named("a stream", flight.act("pgflight.stream.open", open).await).await;
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), at_once).await;
    in_time.expect("nothing is tried again for minutes");
    let (status, body) = server.page("/readyz").await;
    assert!(status.contains("503") && body.contains("read-only"), "{status} {body}");
    server.stop().await;
    scene.end().await;
}

/// The setting comes while a load runs: its next transaction finds it.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_become_read_only_during_a_load_end_it_at_once() {
    let scene = Scene::set("create table t (id bigint primary key, name text); grant all on t to public").await;
    let uri = scene.database.uri().replace("postgres@", &format!("{}@", scene.role));
    let settings = json!({"retry_timeout": "5m", "pool": {"max_lifetime": "1ms"}});
    let server = Server::start_with(&uri, settings).await;
    let mut flight = Flight::connect(&server).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let to = command(json!({"table": "t", "commit": "batch", "batch_size": 2, "acks": "progress"}));
    let mut load = {
        let mut flight = flight.clone();
        tokio::spawn(async move {
            flight
                .stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
                .await
        })
    };
    for message in messages(to, &[rows()]) {
        sender.send(message).await.unwrap();
    }
    scene.database.wait_for("select count(*) = 2 from t").await;
    scene
        .execute("alter role $role set default_transaction_read_only = on")
        .await;
    let more = batch(vec![("id", longs([3, 4])), ("name", texts(&[None, None]))]);
    sender.send(messages(path(&["t"]), &[more]).remove(1)).await.unwrap();
    drop(sender);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), &mut load).await;
    let answer = ended.expect("nothing is tried again for minutes").unwrap();
    refused(
        answer,
        Code::FailedPrecondition,
        &["primary", "default_transaction_read_only", &scene.role],
    );
    scene
        .execute("alter role $role reset default_transaction_read_only")
        .await;
    let after = batch(vec![("id", longs([5]))]);
    assert_eq!(
        flight.put(path(&["t"]), &[after]).await.unwrap()["committed"],
        1,
        "it heals"
    );
    drop(flight);
    server.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_in_the_way_of_a_load_is_named() {
    let database = Database::create().await;
    database
        .execute("create table t (id bigint primary key, name text); insert into t values (1, 'there')")
        .await;
    let server = Server::start_with(database.uri(), json!({"retry_timeout": "1s"})).await;
    let mut flight = Flight::connect(&server).await;
    let reader = database.connect().await;
    reader
        .batch_execute("set application_name = 'an innocent reader'; begin; select count(*) from t")
        .await
        .unwrap();
    let blocker = database.connect().await;
    blocker
        .batch_execute("set application_name = 'a long report'")
        .await
        .unwrap();
    let limits = |mut options: Value| {
        options["table"] = json!("t");
        options["lock_timeout"] = json!("300ms");
        command(options)
    };
    let new = || batch(vec![("id", longs([7])), ("name", texts(&[Some("x")]))]);
    for (what, held, options, rows) in [
        ("a lock", "lock table t in share mode", json!({}), new()),
        (
            "a lock",
            "lock table t in share mode",
            json!({"commit": "batch"}),
            new(),
        ),
        (
            "a row",
            "update t set name = 'held' where id = 1",
            json!({"write_mode": "overwrite"}),
            rows(),
        ),
        (
            "a key",
            "insert into t values (7, 'first')",
            json!({"commit": "batch"}),
            new(),
        ),
    ] {
        blocker.batch_execute(&format!("begin; {held}")).await.unwrap();
        let refusal = flight.put(limits(options.clone()), &[rows]).await;
        blocker.batch_execute("rollback").await.unwrap();
        let status = refusal.expect_err(what);
        assert_eq!(status.code(), Code::Aborted, "{what} {options}: {status}");
        let told = status.message();
        assert!(
            told.contains("blocked by pid") && told.contains("a long report") && told.contains("public.t"),
            "{what} {options}: {status}"
        );
        assert!(!told.contains("an innocent reader"), "{what} {options}: {status}");
    }
    // Readers are in the way of nothing but a swap.
    let swap = flight.put(limits(json!({"write_mode": "replace"})), &[new()]).await;
    refused(swap, Code::Aborted, &["blocked by pid", "an innocent reader"]);
}
