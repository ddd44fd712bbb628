//! The programs of `examples/` against a server: other makers' clients of Flight SQL, from Rust, Go, Java and Node.js.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::database::Database;
use crate::support::javascript;
use crate::support::server::{Server, start};

#[path = "../../../examples/flight_sql.rs"]
#[expect(dead_code, reason = "its `main` is the example's own")]
mod flight_sql;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

async fn reading(database: &Database, queries: &str) -> Server {
    Server::start_with(database.uri(), json!({"flight_sql": {"queries": queries}})).await
}

/// What a program prints, line by line.
async fn lines_of(program: &mut tokio::process::Command) -> Vec<String> {
    let output = program.stdin(Stdio::null()).output().await.expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_program_ingests_and_reads_what_it_may() {
    let (database, server, _) = start().await;
    let seen = flight_sql::tour(&server.http(), "people").await.unwrap();
    assert_eq!(seen, ["ingested 2 rows", "1 tables of that name"]);
    let server = reading(&database, "read-only").await;
    let seen = flight_sql::tour(&server.http(), "people").await.unwrap();
    assert_eq!(seen, ["ingested 2 rows", "1 tables of that name", "read 4 rows"]);
}

/// Built by the machine's Go, from pinned modules.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "NOT RUN: no Go for examples/flight-sql-go")]
async fn the_go_program_ingests_and_reads_what_it_may() {
    let (database, server, _) = start().await;
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("flight-sql-go");
    let built = Command::new("go")
        .args(["build", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(examples().join("flight-sql-go"))
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOFLAGS", "-mod=readonly -buildvcs=false -p=2"),
            ("GOWORK", "off"),
        ])
        .status();
    assert!(
        built.expect("go starts").success(),
        "examples/flight-sql-go is not built"
    );
    let run = async |server: &Server| {
        let address = server.address().to_string();
        lines_of(tokio::process::Command::new(&program).args([&address, "people"])).await
    };
    let seen = run(&server).await;
    assert_eq!(seen[..2], ["ingested 2 rows", "1 tables of that name"]);
    assert!(
        seen[2].starts_with("refused ") && seen[2].contains("flight_sql.queries: off"),
        "{seen:?}"
    );
    let server = reading(&database, "read-only").await;
    assert_eq!(run(&server).await[2], "read 4 rows");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(node), ignore = "NOT RUN: no Node.js 20 for examples/flight-sql-node")]
async fn the_node_program_logs_in_and_queries_what_it_may() {
    let database = Database::create().await;
    let settings =
        json!({"flight_sql": {"queries": "read-only"}, "auth": {"tokens": [{"principal": "ann", "token": "s3cret"}]}});
    let server = Server::start_with(database.uri(), settings).await;
    let run = async |server: &Server, token: &str| {
        let address = server.address().to_string();
        let mut node = tokio::process::Command::from(javascript::tour());
        lines_of(node.args([&address, "ann", token])).await
    };
    let seen = run(&server, "s3cret").await;
    assert_eq!(
        seen[..5],
        [
            "row 1 name 1 0.5 1 true",
            "row 2 name 2 1 null false",
            "row 3 name 3 1.5 3 false",
            "read 100000 rows",
            "read 0 rows",
        ]
    );
    assert!(seen[5].starts_with("error 5 ") && seen[5].contains("42P01"), "{seen:?}");
    let wrong = run(&server, "wrong").await;
    assert!(wrong[0].starts_with("refused 16 "), "{wrong:?}");
    let off = run(&reading(&database, "off").await, "any").await;
    assert!(
        off[0].starts_with("refused 12 ") && off[0].contains("flight_sql.queries: off"),
        "{off:?}"
    );
}

/// The driver as Maven has it.
fn driver() -> PathBuf {
    const NAME: &str = "flight-sql-jdbc-driver";
    const VERSION: &str = "18.3.0";
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("jdbc");
    let jar = directory.join(format!("{NAME}-{VERSION}.jar"));
    if !jar.exists() {
        let brought = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy"])
            .arg(format!("-Dartifact=org.apache.arrow:{NAME}:{VERSION}"))
            .arg(format!("-DoutputDirectory={}", directory.display()))
            .status();
        assert!(
            brought.expect("mvn starts").success(),
            "Maven does not bring the driver"
        );
    }
    jar
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(java_and_maven), ignore = "NOT RUN: no Java 17 with Maven")]
async fn the_jdbc_driver_looks_around_and_runs_what_it_may() {
    let database = Database::create().await;
    database
        .execute(
            "create schema shop; create table shop.customer (id bigint primary key, name text); \
             create table shop.orders (id bigint primary key, customer bigint references shop.customer on delete cascade, \
               price numeric(10,2)); \
             insert into shop.customer values (1, 'a'), (2, 'b'); insert into shop.orders values (7, 2, 12.50), (8, 1, null)",
        )
        .await;
    let name = database.value("select current_database()").await;
    let run = async |server: &Server| {
        let mut java = tokio::process::Command::new("java");
        java.arg("--add-opens=java.base/java.nio=ALL-UNNAMED")
            .arg("-cp")
            .arg(driver());
        lines_of(
            java.arg(examples().join("flight-sql-jdbc/Tour.java"))
                .arg(server.address().to_string()),
        )
        .await
    };
    let seen = run(&reading(&database, "read-write").await).await;
    let looked = [
        "server pgflight".to_owned(),
        format!("catalog {name}"),
        "schema public".to_owned(),
        "schema shop".to_owned(),
        "type FOREIGN TABLE".to_owned(),
        "type MATERIALIZED VIEW".to_owned(),
        "type TABLE".to_owned(),
        "type VIEW".to_owned(),
        "table customer TABLE".to_owned(),
        "table orders TABLE".to_owned(),
        "column id bigint -5".to_owned(),
        "column customer bigint -5".to_owned(),
        "column price numeric(10,2) 3".to_owned(),
        "primary key id 1".to_owned(),
        "imported key customer customer".to_owned(),
        "exported key orders 0".to_owned(),
        "reference orders_customer_fkey".to_owned(),
    ];
    assert_eq!(seen[..looked.len()], looked);
    assert_eq!(
        seen[looked.len()..],
        ["row 7 12.50", "row 8 null", "found b", "changed 1"]
    );
    assert_eq!(database.value("select name from shop.customer where id = 1").await, "C");
    let refused = run(&reading(&database, "off").await).await;
    assert_eq!(refused[..looked.len()], looked);
    let last = refused.last().unwrap();
    assert!(
        last.starts_with("refused ") && last.contains("flight_sql.queries: off"),
        "{last}"
    );
}
