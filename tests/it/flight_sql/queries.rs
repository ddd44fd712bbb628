//! Statements and prepared statements: as far as the configuration lets them, with exact types, with an end to their work.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandStatementUpdate, ProstMessageExt};
use arrow_flight::{FlightDescriptor, FlightInfo, Ticket};
use futures::TryStreamExt;
use prost::Message;
use serde_json::json;
use tonic::Code;
use tonic::transport::Channel;

use super::send;
use crate::flight_refusals::refused;
use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, texts};
use crate::support::server::Server;

pub(crate) type Sql = FlightSqlServiceClient<Channel>;

pub(super) async fn server(queries: &str) -> (Database, Server, Sql) {
    let database = Database::create().await;
    let server = Server::start_with(database.uri(), json!({"flight_sql": {"queries": queries}})).await;
    let channel = Channel::from_shared(server.http())
        .expect("an answer")
        .connect()
        .await
        .expect("an answer");
    (database, server, FlightSqlServiceClient::new(channel))
}

pub(crate) async fn fetch(sql: &mut Sql, info: FlightInfo) -> Result<Vec<RecordBatch>, String> {
    let announced = info.clone().try_decode_schema().expect("an answer");
    let ticket = info.endpoint[0].ticket.clone().expect("an answer");
    let read = sql.do_get(ticket).await.map_err(|error| error.to_string())?;
    let batches: Vec<RecordBatch> = read.try_collect().await.map_err(|error| error.to_string())?;
    for batch in &batches {
        assert_eq!(batch.schema().as_ref(), &announced);
    }
    Ok(batches)
}

pub(crate) async fn select(sql: &mut Sql, text: &str) -> Result<RecordBatch, String> {
    let info = sql
        .execute(text.to_owned(), None)
        .await
        .map_err(|error| error.to_string())?;
    let schema = Arc::new(info.clone().try_decode_schema().expect("an answer"));
    let batches = fetch(sql, info).await?;
    Ok(arrow::compute::concat_batches(&schema, &batches).expect("an answer"))
}

pub(super) fn first(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_as_far_as_the_configuration_lets_them() {
    for access in ["off", "read-only", "read-write"] {
        let (database, server, mut sql) = server(access).await;
        database.execute("create table t (id bigint)").await;
        let read = select(&mut sql, "select 1::bigint as one").await;
        let returned = select(&mut sql, "insert into t values (7) returning id").await;
        let update = CommandStatementUpdate {
            query: "insert into t select generate_series(1, 3)".to_owned(),
            transaction_id: None,
        };
        let mut flight = Flight::connect(&server).await;
        let update = FlightDescriptor::new_cmd(update.as_any().encode_to_vec());
        let updated = send(
            &mut flight,
            vec![arrow_flight::FlightData {
                flight_descriptor: Some(update),
                ..Default::default()
            }],
        )
        .await;
        let left = database.value("select count(*) from t").await;
        match access {
            "off" => {
                let told = read.unwrap_err();
                assert!(
                    told.contains("flight_sql.queries: off") && told.contains("connect to Postgres itself"),
                    "{told}"
                );
                refused(updated, Code::Unimplemented, &["flight_sql.queries: off"]);
                assert_eq!((returned.is_err(), left.as_str()), (true, "0"));
            }
            "read-only" => {
                assert_eq!(first(&read.unwrap()), [1]);
                let told = returned.unwrap_err();
                assert!(told.contains("25006"), "{told}");
                refused(updated, Code::Unimplemented, &["read-only"]);
                assert_eq!(left, "0");
            }
            _ => {
                assert_eq!(first(&read.unwrap()), [1]);
                assert_eq!(first(&returned.unwrap()), [7]);
                assert_eq!((updated.unwrap(), left.as_str()), (3, "4"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_the_types_of_its_columns() {
    let (database, _server, mut sql) = server("read-only").await;
    database.execute("create type mood as enum ('sad', 'ok')").await;
    let query = "select 12.30::numeric(10,2) as price, 1.5::numeric as free, 'ok'::mood as mood, array[1,null] as list, \
                 '2024-05-06 07:08:09+02'::timestamptz as at, '{\"a\": 1}'::jsonb as doc, \
                 '00000000-0000-0000-0000-000000000001'::uuid as id, null::text as nothing, 1 as twice, 'x' as twice";
    for text in [
        query.to_owned(),
        format!("{query} where $1"),
        format!("explain (costs off) {query}"),
    ] {
        if text.starts_with("explain") {
            let plan = select(&mut sql, &text).await.unwrap();
            assert_eq!(plan.schema().field(0).name(), "QUERY PLAN");
            continue;
        }
        let info = sql.execute(text.clone(), None).await.unwrap();
        let schema = info.try_decode_schema().unwrap();
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        assert_eq!(types[0], &DataType::Decimal128(10, 2));
        assert_eq!(types[1], &DataType::Utf8);
        assert_eq!(types[2], &DataType::Utf8);
        assert!(matches!(types[3], DataType::List(item) if item.data_type() == &DataType::Int32));
        assert_eq!(
            types[4],
            &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        );
        assert_eq!(types[6], &DataType::FixedSizeBinary(16));
        assert_eq!((types[8], types[9]), (&DataType::Int32, &DataType::Utf8));
    }
    let all = select(&mut sql, query).await.unwrap();
    assert_eq!(all.num_rows(), 1);
    assert_eq!(all.column(9).as_string::<i32>().value(0), "x");
}

/// What a table holds in every type is read by a statement as DoGet reads it, by COPY and by the extended protocol.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_a_table_reads_what_doget_reads() {
    let (database, server, mut sql) = server("read-only").await;
    let mut flight = Flight::connect(&server).await;
    database
        .execute(
            "create table t as select n::bigint as id, n::text as name, n / 3.0::numeric(20,5) as part, now() as at, \
             array[n, n + 1] as list, to_jsonb(n) as doc, (n % 2 = 0) as even, md5(n::text)::uuid as key, \
             interval '1 day' * n as span, ('\\x' || md5(n::text))::bytea as raw from generate_series(1, 30000) as n",
        )
        .await;
    let ticket = Ticket::new("t");
    let got = flight
        .client
        .do_get(ticket)
        .await
        .unwrap()
        .into_inner()
        .map_err(Into::into);
    let got = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(got);
    let got: Vec<RecordBatch> = got.try_collect().await.unwrap();
    let got = arrow::compute::concat_batches(&got[0].schema(), &got).unwrap();
    let copied = select(&mut sql, "select * from t").await.unwrap();
    assert_eq!(copied.columns(), got.columns());
    let mut prepared = sql
        .prepare("select * from t where id > $1".to_owned(), None)
        .await
        .unwrap();
    prepared.set_parameters(batch(vec![("$1", longs([0]))])).unwrap();
    let info = prepared.execute().await.unwrap();
    let extended = fetch(&mut sql, info).await.unwrap();
    let extended = arrow::compute::concat_batches(&extended[0].schema(), &extended).unwrap();
    assert_eq!(extended.columns(), got.columns());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_is_run_once_for_each_row_of_parameters() {
    let (database, _server, mut sql) = server("read-write").await;
    database
        .execute("create table t (id bigint, name text, price numeric(10,2))")
        .await;
    let mut insert = sql
        .prepare("insert into t values ($1, $2, $3)".to_owned(), None)
        .await
        .unwrap();
    assert_eq!(insert.parameter_schema().unwrap().fields().len(), 3);
    assert_eq!(insert.dataset_schema().unwrap().fields().len(), 0);
    let many = batch(vec![
        ("a", longs(1..=500)),
        (
            "b",
            Arc::new(
                (0..500)
                    .map(|n| (n % 2 == 0).then(|| format!("n{n}")))
                    .collect::<StringArray>(),
            ) as ArrayRef,
        ),
        ("c", texts(&vec![Some("1.50"); 500])),
    ]);
    insert.set_parameters(many).unwrap();
    assert_eq!(insert.execute_update().await.unwrap(), 500);
    insert.close().await.unwrap();
    assert_eq!(
        database
            .value("select count(*) || ' ' || count(name) || ' ' || sum(price) from t")
            .await,
        "500 250 750.00"
    );
    let mut query = sql
        .prepare(
            "select id from t where id between $1 and $1 + 1 order by id".to_owned(),
            None,
        )
        .await
        .unwrap();
    assert_eq!(query.parameter_schema().unwrap().field(0).data_type(), &DataType::Int64);
    query.set_parameters(batch(vec![("$1", longs([10, 400]))])).unwrap();
    let info = query.execute().await.unwrap();
    let found = fetch(&mut sql, info).await.unwrap();
    let found: Vec<i64> = found.iter().flat_map(first).collect();
    assert_eq!(found, [10, 11, 400, 401]);
    // Values that fail leave nothing of the rows before them.
    let mut failing = sql
        .prepare("insert into t values ($1 / ($1 - 3), 'x', 1)".to_owned(), None)
        .await
        .unwrap();
    failing.set_parameters(batch(vec![("$1", longs([1, 2, 3]))])).unwrap();
    let told = failing.execute_update().await.unwrap_err().to_string();
    assert!(told.contains("22012"), "{told}");
    assert_eq!(database.value("select count(*) from t where name = 'x'").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_says_of_a_statement_reaches_the_client() {
    let (_database, server, _) = server("read-only").await;
    let mut flight = Flight::connect(&server).await;
    for (text, code, word, state) in [
        ("selct 1", Code::InvalidArgument, "syntax error", "42601"),
        ("select * from nothing", Code::NotFound, "nothing", "42P01"),
        (
            "select 1; select 2",
            Code::InvalidArgument,
            "multiple commands",
            "42601",
        ),
        (
            "select 1) to program 'true' --",
            Code::InvalidArgument,
            "syntax error",
            "42601",
        ),
        ("create table x (a int)", Code::Unimplemented, "read-only", ""),
        (
            "copy (select 1) to program 'true'",
            Code::Unimplemented,
            "read-only",
            "",
        ),
        ("  ", Code::InvalidArgument, "empty", ""),
    ] {
        let query = arrow_flight::sql::CommandStatementQuery {
            query: text.to_owned(),
            transaction_id: None,
        };
        let cmd = query.as_any().encode_to_vec();
        let info = flight
            .client
            .get_flight_info(FlightDescriptor::new_cmd(cmd.clone()))
            .await;
        let status = match info {
            Err(status) => status,
            Ok(_) => flight.client.do_get(Ticket::new(cmd)).await.map(drop).unwrap_err(),
        };
        assert_eq!(status.code(), code, "{text}: {status:?}");
        assert!(status.message().contains(word), "{text}: {status:?}");
        let told = status
            .metadata()
            .get("x-pg-sqlstate")
            .map_or("", |state| state.to_str().unwrap());
        assert_eq!(told, state, "{text}");
    }
    // What fails after its first row.
    let query = "select 1 / (2 - n) from generate_series(1, 2) n";
    let mut sql = FlightSqlServiceClient::new(Channel::from_shared(server.http()).unwrap().connect().await.unwrap());
    let told = select(&mut sql, query).await.unwrap_err();
    assert!(told.contains("22012"), "{told}");
}
