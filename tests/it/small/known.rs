//! A plan is made once and used again: whatever is changed of its table in between, a put ends as it would without.

use serde_json::{Value, json};
use tonic::Status;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, texts};
use crate::support::server::Server;

const TABLE: &str = "create schema s; create table s.t (id bigint primary key, n bigint, v text); \
                     create table s.other (id bigint primary key); insert into s.other values (1), (2), (3), (4), (5)";

/// What somebody does to the table between two puts.
const CHANGES: &[&str] = &[
    "drop table s.t",
    "drop table s.t; create table s.t (id bigint primary key, n double precision, v text)",
    "drop table s.t; create table s.t (v text, n bigint, id bigint primary key)",
    "alter table s.t rename to was; create table s.t (id bigint primary key, n double precision, v text)",
    "alter table s.t rename to was",
    "alter schema s rename to was; create schema s; create table s.t (id bigint primary key, n timestamp, v text)",
    "alter table s.t alter n type double precision",
    "alter table s.t alter n type integer",
    "alter table s.t alter n type numeric(20,2)",
    "alter table s.t alter n type text",
    "alter table s.t drop column n",
    "alter table s.t rename n to m",
    "alter table s.t drop column n; alter table s.t add column n bigint",
    "alter table s.t add column extra int",
    "alter table s.t add column extra int not null default 7",
    "alter table s.t add column extra int; update s.t set extra = 1; alter table s.t alter extra set not null",
    "alter table s.t alter v set not null",
    "alter table s.t alter n set default 9; alter table s.t alter id add generated always as identity",
    "alter table s.t add column g bigint generated always as (n * 2) stored",
    "alter table s.t add constraint small check (id < 4)",
    "alter table s.t drop constraint t_pkey",
    "alter table s.t drop constraint t_pkey; alter table s.t add primary key (id, n)",
    "alter table s.t drop constraint t_pkey; create unique index on s.t (id)",
    "alter table s.t drop constraint t_pkey; alter table s.t add primary key (id) deferrable",
    "alter table s.t add foreign key (n) references s.other not valid",
    "alter table s.t add foreign key (n) references s.t not valid",
    "create table s.child (id bigint references s.t)",
    "create function s.none() returns trigger language plpgsql as 'begin return null; end'; \
     create trigger leaves_out before insert on s.t for each row execute function s.none()",
    "create function s.ten() returns trigger language plpgsql as 'begin new.n := 10; return new; end'; \
     create trigger changes before insert or update on s.t for each row execute function s.ten()",
    "create function s.note() returns trigger language plpgsql as 'begin insert into s.other values (99); return null; end'; \
     create trigger notes after update on s.t for each statement execute function s.note()",
    "create rule turned as on insert to s.t do instead nothing",
    "create rule turned as on update to s.t do instead nothing",
    "alter table s.t enable row level security; alter table s.t force row level security",
    "alter table s.t set unlogged",
    "truncate s.t",
    "delete from s.t",
    "create publication p for table s.t; alter table s.t replica identity nothing",
    "create table s.heir (more int) inherits (s.t)",
    "create table s.parent (id bigint, n bigint, v text); alter table s.t inherit s.parent",
    "drop table s.t; create view s.t as select 1::bigint as id, 1::bigint as n, 'x'::text as v",
    "drop table s.t; create table s.t (id bigint, n bigint, v text, primary key (id)) partition by range (id); \
     create table s.part partition of s.t for values from (0) to (4)",
    "create domain s.word as text not null; alter table s.t alter v type s.word",
    "create index on s.t (n); comment on table s.t is 'x'; analyze s.t",
];

fn row(id: i64) -> arrow::array::RecordBatch {
    batch(vec![
        ("id", longs([id])),
        ("n", longs([4_607_182_418_800_017_408 % (id + 7) + 1])),
        ("v", texts(&[Some("word").filter(|_| id != 4)])),
    ])
}

async fn put(flight: &mut Flight, options: &Value, id: i64) -> Result<Value, Status> {
    let mut to = options.clone();
    to["schema"] = json!("s");
    to["table"] = json!("t");
    flight.put(command(to), &[row(id)]).await
}

/// What a put said and left, as far as it can be the same in two databases.
async fn end(database: &Database, answer: Result<Value, Status>) -> String {
    let told = match answer {
        Ok(mut answer) => {
            let fields = answer.as_object_mut().expect("an object");
            fields.remove("duration_ms");
            answer.to_string()
        }
        Err(status) => format!("{:?} {}", status.code(), status.message()),
    };
    let told = told.replace(database.name(), "{db}");
    let shape = "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute \
                 where attrelid = to_regclass('s.t') and attnum > 0 order by attnum";
    let mut left = database.lines(shape).await;
    if database.value("select to_regclass('s.t') is not null").await == "t" {
        left.extend(database.lines("select t::text from s.t order by 1").await);
    }
    if database.value("select to_regclass('s.other') is not null").await == "t" {
        left.extend(database.lines("select id from s.other where id > 5").await);
    }
    format!("{told}\n{}", left.join("\n"))
}

async fn changed(database: &Database, change: &str, options: &Value, is_kept: bool) -> String {
    database.execute(TABLE).await;
    let mut server = Server::start_with(database.uri(), json!({"pool": {"max_size": 1}})).await;
    let mut flight = Flight::connect(&server).await;
    for id in 1..=3 {
        let answer = put(&mut flight, options, id).await.expect("the table fits");
        assert_eq!(answer["committed"], 1);
    }
    if !is_kept {
        server.stop().await;
        server = Server::start_with(database.uri(), json!({"pool": {"max_size": 1}})).await;
        flight = Flight::connect(&server).await;
    }
    database.execute(change).await;
    let first = put(&mut flight, options, 4).await;
    let first = end(database, first).await;
    // As an upsert would find a row of its key.
    let again = put(&mut flight, options, 5).await;
    let again = end(database, again).await;
    server.stop().await;
    database
        .execute("drop publication if exists p; drop schema if exists s cascade; drop schema if exists was cascade")
        .await;
    format!("{first}\nthen\n{again}")
}

/// Changes after which a put by a kept plan ends in another way.
async fn differing(options: Value) -> Vec<String> {
    let (one, other) = (Database::create().await, Database::create().await);
    let mut wrong = Vec::new();
    for change in CHANGES {
        let kept = changed(&one, change, &options, true);
        let looked = changed(&other, change, &options, false);
        let (kept, looked) = tokio::join!(kept, looked);
        if kept != looked {
            wrong.push(format!("{change}\n{options}\nkept:\n{kept}\nlooked first:\n{looked}"));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_changed_of_a_table_a_put_by_a_kept_plan_ends_as_one_that_looks_first() {
    let modes = [
        json!({"write_mode": "append", "commit": "atomic"}),
        json!({"write_mode": "append", "commit": "batch"}),
        json!({"write_mode": "overwrite", "commit": "atomic"}),
        json!({"write_mode": "overwrite", "commit": "batch"}),
    ];
    let running: Vec<_> = modes.map(|options| tokio::spawn(differing(options))).into();
    let mut wrong = Vec::new();
    for mode in running {
        wrong.extend(mode.await.expect("a mode's task"));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A role that loses a right between two puts.
#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_is_missed_by_the_next_put() {
    let database = Database::create().await;
    let role = format!("writer_{}", database.name());
    database
        .execute(&format!(
            "create role {role} login; create table public.t (id bigint primary key, v text); \
             grant usage on schema public to {role}; grant insert, select, update on public.t to {role}"
        ))
        .await;
    let uri = database.uri().replacen("postgres@", &format!("{role}@"), 1);
    let server = Server::start_with(&uri, json!({})).await;
    let mut flight = Flight::connect(&server).await;
    for mode in ["append", "overwrite"] {
        let to = || command(json!({"table": "t", "write_mode": mode}));
        let rows = |id| [batch(vec![("id", longs([id])), ("v", texts(&[Some("x")]))])];
        for id in 0..3 {
            flight
                .put(to(), &rows(id + mode.len() as i64 * 10))
                .await
                .expect("it may");
        }
        database
            .execute(&format!("revoke insert on public.t from {role}"))
            .await;
        let refused = flight.put(to(), &rows(1000)).await.expect_err("it may not");
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused:?}");
        database.execute(&format!("grant insert on public.t to {role}")).await;
        flight
            .put(to(), &rows(2000 + mode.len() as i64))
            .await
            .expect("it may again");
    }
    assert_eq!(database.value("select count(*) from t where id = 1000").await, "0");
    drop(server);
    database
        .execute(&format!("drop owned by {role}; drop role {role}"))
        .await;
}

/// Types change back and forth while rows come: each row lands as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_while_a_table_changes_all_the_time_land_as_what_they_are() {
    const CLIENTS: i64 = 4;
    const PUTS: i64 = 40;
    let database = Database::create().await;
    database
        .execute("create table t (id bigint primary key, n bigint)")
        .await;
    let server = Server::start(&database).await;
    let putting = (0..CLIENTS).map(|client| {
        let http = server.http();
        tokio::spawn(async move {
            let mut flight = Flight::reach(&http).await;
            let mut stored = Vec::new();
            for round in 0..PUTS {
                let id = round * CLIENTS + client;
                let commit = if round % 2 == 0 { "atomic" } else { "batch" };
                let rows = [batch(vec![("id", longs([id])), ("n", longs([id * 3]))])];
                if let Ok(answer) = flight
                    .put(command(json!({"table": "t", "commit": commit})), &rows)
                    .await
                {
                    assert_eq!(answer["committed"], 1);
                    stored.push(id);
                }
            }
            stored
        })
    });
    let putting: Vec<_> = putting.collect();
    let mut changes = 0;
    while putting.iter().any(|client| !client.is_finished()) {
        for ty in ["double precision", "bigint", "numeric", "bigint"] {
            database.execute(&format!("alter table t alter n type {ty}")).await;
            changes += 1;
        }
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    let mut stored = Vec::new();
    for client in putting {
        stored.extend(client.await.expect("a client's task"));
    }
    stored.sort_unstable();
    let ids: Vec<i64> = database
        .query("select id from t order by 1", &[])
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(ids, stored, "after {changes} changes");
    assert_eq!(database.value("select count(*) from t where n <> id * 3").await, "0");
    assert!(
        stored.len() as i64 > CLIENTS * PUTS / 2,
        "{} of {} went through",
        stored.len(),
        CLIENTS * PUTS
    );
}
