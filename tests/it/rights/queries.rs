//! Statements of SQL: who may run some, and as which role of the database.

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::flight_sql::queries::{Sql, fetch, select};
use crate::support::database::Database;
use crate::support::server::Server;

async fn server(access: &str, rules: Value) -> (Database, Server, Sql) {
    let database = Database::create().await;
    let settings = json!({"flight_sql": {"queries": access}, "auth": {"rules": rules}});
    let server = Server::start_with(database.uri(), settings).await;
    let channel = Channel::from_shared(server.http())
        .expect("it works")
        .connect()
        .await
        .expect("it works");
    (database, server, FlightSqlServiceClient::new(channel))
}

/// A role of this test, which goes with it.
struct Role {
    name: String,
    database: Database,
}

impl Role {
    async fn made(database: Database) -> Self {
        let name = format!("reader_{:08x}", fastrand::u32(..));
        database.execute(&format!("create role {name}; create table open (id bigint); create table shut (id bigint); insert into open values (1); insert into shut values (2); grant select, insert on open to {name}")).await;
        Self { name, database }
    }

    async fn gone(self) {
        self.database
            .execute(&format!("drop owned by {0}; drop role {0}", self.name))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_needs_the_right_to_query() {
    let (_database, _server, mut sql) = server(
        "read-write",
        json!([{"principal": "*", "tables": ["*"], "may": ["read"]}]),
    )
    .await;
    let told = select(&mut sql, "select 1").await.unwrap_err();
    assert!(
        told.contains("may not run statements of SQL") && told.contains("right query"),
        "{told}"
    );
    let told = sql
        .execute_update("create table t (id bigint)".to_owned(), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(told.contains("right query"), "{told}");
    let told = sql
        .prepare("select 1".to_owned(), None)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(told.contains("right query"), "{told}");
    let (_database, _server, mut sql) = server(
        "read-only",
        json!([{"principal": "*", "tables": ["*"], "may": ["query"]}]),
    )
    .await;
    assert_eq!(select(&mut sql, "select 1").await.unwrap().num_rows(), 1);
}

/// What is tried to put the role off, each refused.
async fn cannot_leave(sql: &mut Sql) {
    for leaving in [
        "select set_config('role', 'none', true), (select id from shut)",
        "select query_to_xml('set role none', true, true, '')",
        "update pg_settings set setting = 'none' where name = 'role' returning name",
    ] {
        let told = select(sql, leaving).await.expect_err("it is refused");
        assert!(!told.contains("internal"), "{told}");
    }
    for leaving in [
        "set role none",
        "reset role",
        "do $$ begin reset role; end $$",
        "/* */ reset role",
        "set session authorization default",
    ] {
        let told = sql
            .execute_update(leaving.to_owned(), None)
            .await
            .expect_err("it is refused")
            .to_string();
        assert!(
            told.contains("run as a role") || told.contains("read-only"),
            "{leaving}: {told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_a_rule_with_a_role_runs_as_that_role_and_cannot_leave_it() {
    for access in ["read-only", "read-write"] {
        let role = Role::made(Database::create().await).await;
        let settings = json!({
            "flight_sql": {"queries": access},
            "auth": {"rules": [{"principal": "*", "may": ["query"], "role": role.name}]},
        });
        let server = Server::start_with(role.database.uri(), settings).await;
        let channel = Channel::from_shared(server.http()).unwrap().connect().await.unwrap();
        let mut sql: Sql = FlightSqlServiceClient::new(channel);
        let told = select(&mut sql, "select 1").await.unwrap_err();
        assert!(told.contains("set_config") && told.contains("revoke execute"), "{told}");
        role.database
            .execute("revoke execute on function pg_catalog.set_config(text, text, boolean) from public")
            .await;
        let who = select(&mut sql, "select current_user::text as who").await.unwrap();
        let who = arrow::array::AsArray::as_string::<i32>(who.column(0))
            .value(0)
            .to_owned();
        assert_eq!(who, role.name);
        assert_eq!(select(&mut sql, "select id from open").await.unwrap().num_rows(), 1);
        let told = select(&mut sql, "select id from shut").await.unwrap_err();
        assert!(told.contains("42501"), "{told}");
        cannot_leave(&mut sql).await;
        let inserted = sql
            .execute_update("insert into open values (3), (4)".to_owned(), None)
            .await;
        match access {
            "read-only" => assert!(inserted.is_err()),
            _ => {
                assert_eq!(inserted.unwrap(), 2);
                let told = sql
                    .execute_update("insert into shut values (3)".to_owned(), None)
                    .await
                    .unwrap_err();
                assert!(told.to_string().contains("42501"), "{told}");
                assert_eq!(role.database.value("select count(*) from open").await, "3");
            }
        }
        drop(server);
        role.gone().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drivers_ask_shows_only_what_one_has_a_right_to() {
    let rules = json!([{"principal": "*", "tables": ["a.*"], "may": ["append"]}]);
    let (database, _server, mut sql) = server("off", rules).await;
    database.execute("create schema a; create schema b; create table a.x (id bigint primary key); create table b.y (id bigint primary key, x bigint references a.x)").await;
    let info = sql.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    let schemas = fetch(&mut sql, info).await.unwrap();
    assert_eq!(
        schemas.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(),
        1
    );
    for include_schema in [false, true] {
        let asked = CommandGetTables {
            include_schema,
            ..CommandGetTables::default()
        };
        let info = sql.get_tables(asked).await.unwrap();
        let tables = fetch(&mut sql, info).await.unwrap();
        let names: Vec<String> = tables
            .iter()
            .flat_map(|batch| {
                let names = arrow::array::AsArray::as_string::<i32>(batch.column(2));
                names.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(names, ["x"]);
    }
    for (table, rows) in [("x", 1), ("y", 0)] {
        let asked = arrow_flight::sql::CommandGetPrimaryKeys {
            table: table.to_owned(),
            ..Default::default()
        };
        let info = sql.get_primary_keys(asked).await.unwrap();
        let keys = fetch(&mut sql, info).await.unwrap();
        assert_eq!(
            keys.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(),
            rows,
            "{table}"
        );
    }
    let asked = arrow_flight::sql::CommandGetExportedKeys {
        table: "x".to_owned(),
        ..Default::default()
    };
    let info = sql.get_exported_keys(asked).await.unwrap();
    let keys = fetch(&mut sql, info).await.unwrap();
    assert_eq!(
        keys.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(),
        0,
        "b.y is not shown"
    );
}
