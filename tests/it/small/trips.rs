//! What a put of one row asks of Postgres, counted on the line: it must not grow unseen.

use serde_json::{Value, json};

use crate::support::chaos::{Counted, Passed};
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, command, longs, messages, texts};
use crate::support::server::Server;

/// Puts that prepare what sessions keep.
const BEFORE: i64 = 4;

/// A way to put one row into a table that has rows, and what it may ask for.
struct Way {
    name: &'static str,
    options: Value,
    /// Whether each put is a stream of its own.
    named: bool,
    trips: usize,
    /// Statements, each time that one is parsed or carried out.
    statements: usize,
}

fn ways() -> Vec<Way> {
    let way = |name, options, named, trips, statements| Way {
        name,
        options,
        named,
        trips,
        statements,
    };
    let append = |commit: &str| json!({"commit": commit});
    let overwrite = |commit: &str| json!({"commit": commit, "write_mode": "overwrite"});
    vec![
        way("atomic append", append("atomic"), false, 3, 6),
        way("batch append", append("batch"), false, 3, 6),
        way("atomic overwrite", overwrite("atomic"), false, 4, 7),
        way("batch overwrite", overwrite("batch"), false, 4, 7),
        way("atomic append, stream_id", append("atomic"), true, 12, 14),
        way("batch append, stream_id", append("batch"), true, 12, 13),
    ]
}

/// Statements of the messages that passed: those of a simple query, and each execution of another one.
fn statements(passed: &Passed) -> usize {
    let of = |asked: &String| match asked.strip_prefix("query: ") {
        Some(text) => text.split("; ").filter(|statement| !statement.is_empty()).count(),
        None => usize::from(asked == "execute"),
    };
    passed.asked.iter().map(of).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_of_one_row_asks_no_more_of_postgres_than_is_written_here() {
    let database = Database::create().await;
    let (line, uri) = Counted::before(database.uri()).await;
    // One session, so that what it keeps is there for each put.
    let server = Server::start_with(&uri, json!({"pool": {"max_size": 1}})).await;
    let mut flight = Flight::connect(&server).await;
    let mut wrong = Vec::new();
    for (number, way) in ways().into_iter().enumerate() {
        let table = format!("t{number}");
        database
            .execute(&format!(
                "create table {table} (id bigint primary key, v text); insert into {table} values (-1)"
            ))
            .await;
        let mut passed = Passed::default();
        for id in 0..=BEFORE {
            line.taken();
            let mut to = way.options.clone();
            to["table"] = json!(table);
            if way.named {
                to["stream_id"] = json!(format!("{table}-{id}"));
            }
            let mut sent = messages(
                command(to),
                &[batch(vec![("id", longs([id])), ("v", texts(&[Some("x")]))])],
            );
            if way.named {
                sent.last_mut().expect("a batch").app_metadata = "{\"seq\": 0}".into();
            }
            let answers = flight.send(sent).await.expect("a good row");
            assert_eq!(answers.last().expect("an answer")["committed"], 1);
            let taken = line.taken();
            // On a busy machine what goes at once may be seen one after the other, which makes more trips and never fewer.
            if id < 2 || taken.trips < passed.trips {
                passed = taken;
            }
        }
        let found = (passed.trips, statements(&passed));
        println!(
            "{}: {found:?} round trips and statements\n  {}",
            way.name,
            passed.asked.join("\n  ")
        );
        if found != (way.trips, way.statements) {
            wrong.push(format!(
                "{}: {found:?}, not {:?}",
                way.name,
                (way.trips, way.statements)
            ));
        }
    }
    assert!(wrong.is_empty(), "round trips and statements: {}", wrong.join("; "));
}
