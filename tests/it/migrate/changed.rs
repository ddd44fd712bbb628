//! DDL by someone else while a stream is on its way: it is noticed, the table is read again, and the rows land as what they
//! are, or the stream fails in one sentence. Never is a value stored as another one.

use arrow_flight::FlightData;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status};

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, texts};
use crate::support::server::start;

const TABLE: &str = "drop table if exists t; create table t (id bigint primary key, n bigint, name text)";

/// A put whose messages are sent one by one: the schema, then three batches of two rows.
struct Put {
    waiting: std::vec::IntoIter<FlightData>,
    send: UnboundedSender<FlightData>,
    answer: JoinHandle<Result<Vec<Value>, Status>>,
}

impl Put {
    fn start(flight: &Flight, options: Value, extra: bool) -> Self {
        let rows = |first: i64| {
            let mut columns = vec![
                ("id", longs([first, first + 1])),
                ("n", longs([4_607_182_418_800_017_408, first])),
                ("name", texts(&[Some("ABCD"), None])),
            ];
            if extra {
                columns.push(("extra", longs([0, 0])));
            }
            batch(columns)
        };
        let (send, receive) = unbounded_channel();
        let mut flight = flight.clone();
        let answer = tokio::spawn(async move { flight.stream(UnboundedReceiverStream::new(receive)).await });
        Self {
            waiting: messages(command(options), &[rows(1), rows(3), rows(5)]).into_iter(),
            send,
            answer,
        }
    }

    fn send(&mut self, count: usize) {
        for message in self.waiting.by_ref().take(count) {
            self.send.send(message).expect("the call runs");
        }
    }

    async fn finish(mut self) -> Result<Value, Status> {
        self.send(usize::MAX);
        drop(self.send);
        let answers = self.answer.await.expect("the call does not panic")?;
        Ok(answers.into_iter().last().expect("a final answer"))
    }
}

async fn wait_for(database: &Database, query: &str, value: &str) {
    for _ in 0..3_000 {
        if database.value(query).await == value {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{query} is not {value} within 30 s");
}

/// Sends two rows that commit, then lets somebody change the table, then sends the rest.
async fn between_chunks(
    database: &Database,
    flight: &Flight,
    mode: &str,
    ddl: &str,
    options: Value,
) -> Result<Value, Status> {
    database.execute(TABLE).await;
    let mut all = json!({"table": "t", "write_mode": mode, "commit": "batch", "batch_size": 2});
    let more = options.as_object().expect("options are an object").clone();
    all.as_object_mut().expect("it is an object").extend(more);
    let mut put = Put::start(flight, all, false);
    put.send(2);
    wait_for(database, "select count(*) from t", "2").await;
    database.execute(ddl).await;
    put.finish().await
}

/// The double whose bits are the first row's number is 1, so that a reading of the wrong type would show.
const BIG: &str = "4607182418800017408";

const MODES: [&str; 2] = ["append", "overwrite"];

#[tokio::test(flavor = "multi_thread")]
async fn between_two_chunks_a_changed_table_is_read_again_and_every_row_lands() {
    let (database, _server, flight) = start().await;
    let recreate = "drop table t; create table t (name text, n numeric, id numeric(20) primary key, own int default 5)";
    let cases: [(&str, &str, &[&str]); 6] = [
        (
            "alter table t add column own int default 5",
            "id, n, own",
            &["1|B|5", "2|1|5", "3|B|5", "4|3|5", "5|B|5", "6|5|5"],
        ),
        (
            "alter table t alter n type numeric",
            "id, n",
            &["1|B", "2|1", "3|B", "4|3", "5|B", "6|5"],
        ),
        (
            "alter table t alter n type numeric(30,2)",
            "id, n",
            &["1|B.00", "2|1.00", "3|B.00", "4|3.00", "5|B.00", "6|5.00"],
        ),
        (
            "alter table t drop column name",
            "id, name",
            &["1|<null>", "2|<null>", "3|ABCD", "4|<null>", "5|ABCD", "6|<null>"],
        ),
        (
            "alter table t rename n to m",
            "id, n, m",
            &[
                "1|<null>|B",
                "2|<null>|1",
                "3|B|<null>",
                "4|3|<null>",
                "5|B|<null>",
                "6|5|<null>",
            ],
        ),
        (recreate, "id, n, own", &["3|B|5", "4|3|5", "5|B|5", "6|5|5"]),
    ];
    for mode in MODES {
        for (ddl, select, rows) in cases {
            let answer = between_chunks(&database, &flight, mode, ddl, json!({})).await;
            let answer = answer.unwrap_or_else(|error| panic!("{mode}, {ddl}: {error}"));
            assert_eq!(answer["rows"], 6, "{mode}, {ddl}");
            let found = database.lines(&format!("select {select} from t order by id")).await;
            let expected: Vec<String> = rows
                .iter()
                .map(|row| row.replace('B', BIG).replace(&format!("A{BIG}CD"), "ABCD"))
                .collect();
            assert_eq!(found, expected, "{mode}, {ddl}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_bytes_of_one_type_are_never_stored_as_eight_bytes_of_another() {
    let (database, _server, flight) = start().await;
    for mode in MODES {
        // COPY BINARY itself would take the bytes of a bigint for a double precision or a timestamp.
        let ddl = "alter table t alter n type double precision";
        match between_chunks(&database, &flight, mode, ddl, json!({})).await {
            Ok(_) => {
                let found = database
                    .lines("select id, n::bigint from t where id > 2 order by id")
                    .await;
                assert_eq!(
                    found,
                    [
                        format!("3|{BIG}"),
                        "4|3".to_owned(),
                        format!("5|{BIG}"),
                        "6|5".to_owned()
                    ],
                    "{mode}"
                );
            }
            // Where not every bigint can be kept exactly, that is said.
            Err(error) => {
                assert!(
                    [Code::FailedPrecondition, Code::InvalidArgument].contains(&error.code()),
                    "{mode}: {error}"
                );
                assert!(error.message().contains("\"n\""), "{mode}: {error}");
                assert_eq!(
                    database.lines("select id from t order by id").await,
                    ["1", "2"],
                    "{mode}"
                );
            }
        }
        let ddl = "alter table t drop column n, add column n timestamp";
        let error = between_chunks(&database, &flight, mode, ddl, json!({}))
            .await
            .unwrap_err();
        assert!(
            error.message().contains("column \"n\"") && error.message().contains("timestamp"),
            "{mode}: {error}"
        );
        assert_eq!(
            database.lines("select id, n from t order by id").await,
            ["1|<null>", "2|<null>"],
            "{mode}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_go_on_ends_in_one_sentence_with_the_rows_before_it() {
    let (database, _server, flight) = start().await;
    for mode in MODES {
        let dropped = between_chunks(&database, &flight, mode, "drop table t", json!({}))
            .await
            .unwrap_err();
        assert_eq!(dropped.code(), Code::NotFound, "{mode}: {dropped}");
        assert!(
            dropped
                .message()
                .contains("table public.t was dropped while it was being loaded"),
            "{dropped}"
        );
        let off = json!({"migrate_mode": "off"});
        let gone = between_chunks(&database, &flight, mode, "alter table t drop column name", off)
            .await
            .unwrap_err();
        assert_eq!(gone.code(), Code::FailedPrecondition, "{mode}: {gone}");
        assert!(
            gone.message().contains("column \"name\": the table has no such column"),
            "{gone}"
        );
        assert_eq!(database.value("select count(*) from t").await, "2", "{mode}");
    }
    let ddl = "alter table t drop constraint t_pkey";
    let unkeyed = between_chunks(&database, &flight, "overwrite", ddl, json!({"primary_key": ["id"]}))
        .await
        .unwrap_err();
    assert_eq!(unkeyed.code(), Code::FailedPrecondition, "{unkeyed}");
    assert!(
        unkeyed
            .message()
            .contains("no unique index is exactly over these columns"),
        "{unkeyed}"
    );
    assert_eq!(database.value("select count(*) from t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_row_of_an_atomic_load_a_changed_table_is_read_again() {
    let all = [
        format!("1|{BIG}"),
        "2|1".to_owned(),
        format!("3|{BIG}"),
        "4|3".to_owned(),
        format!("5|{BIG}"),
        "6|5".to_owned(),
    ];
    for mode in MODES {
        for ddl in [
            "alter table t alter n type numeric",
            "alter table t drop column n",
            "drop table t",
            "drop table t; create table t (extra numeric, n numeric, id numeric(20) primary key)",
            "alter table t add column own int default 5",
        ] {
            // A server that knows no plan looks at the table when the load is opened.
            let (database, _server, flight) = start().await;
            database.execute(TABLE).await;
            let options =
                json!({"table": "t", "write_mode": mode, "commit": "atomic", "primary_key": ["id"], "batch_size": 2});
            let mut put = Put::start(&flight, options, true);
            put.send(1);
            // The column that the stream brings is there: the table was planned for, and nothing is locked.
            wait_for(
                &database,
                "select count(*) from pg_attribute where attrelid = to_regclass('t') and attname = 'extra'",
                "1",
            )
            .await;
            database.execute(ddl).await;
            let answer = put
                .finish()
                .await
                .unwrap_or_else(|error| panic!("{mode}, {ddl}: {error}"));
            assert_eq!(
                (&answer["rows"], &answer["committed"]),
                (&json!(6), &json!(6)),
                "{mode}, {ddl}"
            );
            let found = database.lines("select id, n from t order by id").await;
            assert_eq!(found, all, "{mode}, {ddl}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_of_one_table_with_ddl_between_them_each_see_it_as_it_is() {
    let (database, _server, mut flight) = start().await;
    for mode in MODES {
        database.execute(TABLE).await;
        let to = || command(json!({"table": "t", "write_mode": mode, "primary_key": ["id"]}));
        let rows = |id: i64| [batch(vec![("id", longs([id])), ("n", longs([id * 10]))])];
        for (id, ddl) in [
            (1, "alter table t alter n type numeric(20,1)"),
            (2, "alter table t drop column name, add column own text default 'd'"),
            (3, "alter table t drop column n"),
            (4, "drop table t; create table t (n int, id int primary key)"),
            (5, "drop table t"),
        ] {
            flight
                .put(to(), &rows(id))
                .await
                .unwrap_or_else(|error| panic!("{mode}, {id}: {error}"));
            let found = database
                .value(&format!("select n::numeric::bigint from t where id = {id}"))
                .await;
            assert_eq!(found, (id * 10).to_string(), "{mode}");
            database.execute(ddl).await;
        }
        flight.put(to(), &rows(6)).await.unwrap();
        assert_eq!(database.lines("select id, n from t").await, ["6|60"], "{mode}");
    }
}
