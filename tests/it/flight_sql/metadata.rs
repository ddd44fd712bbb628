//! What drivers ask about the database, as arrow-flight's own client of Flight SQL asks it.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, UInt8Type};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_flight::{Action, FlightInfo};
use futures::TryStreamExt;
use tonic::transport::Channel;

use crate::flight_refusals::rows;
use crate::support::database::Database;
use crate::support::flight::{Flight, path};
use crate::support::server::{Server, start};

type Sql = FlightSqlServiceClient<Channel>;

async fn client(server: &Server) -> Sql {
    let channel = Channel::from_shared(server.http())
        .expect("an answer")
        .connect()
        .await
        .expect("an answer");
    FlightSqlServiceClient::new(channel)
}

/// The answer behind an info; its schema is the announced one.
async fn fetch(sql: &mut Sql, info: FlightInfo) -> RecordBatch {
    let announced = info.clone().try_decode_schema().expect("an answer");
    assert_eq!(info.endpoint.len(), 1);
    assert!(info.endpoint[0].location.is_empty(), "clients keep to their connection");
    let ticket = info.endpoint[0].ticket.clone().expect("an answer");
    let batches: Vec<RecordBatch> = sql
        .do_get(ticket)
        .await
        .expect("an answer")
        .try_collect()
        .await
        .expect("an answer");
    for batch in &batches {
        assert_eq!(batch.schema().as_ref(), &announced);
    }
    arrow::compute::concat_batches(&std::sync::Arc::new(announced), &batches).expect("an answer")
}

/// Text columns of an answer, row by row, joined by `|`.
fn lines(batch: &RecordBatch, columns: &[&str]) -> Vec<String> {
    let cell = |column: &str, row: usize| {
        let array = batch.column_by_name(column).unwrap_or_else(|| panic!("no {column}"));
        match array.data_type() {
            DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
            DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
            DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
            other => panic!("{other}"),
        }
    };
    let line = |row| {
        columns
            .iter()
            .map(|column| cell(column, row))
            .collect::<Vec<_>>()
            .join("|")
    };
    (0..batch.num_rows()).map(line).collect()
}

async fn shop() -> (Database, Server, Sql, String) {
    let (database, server, mut flight) = start().await;
    database
        .execute(
            "create schema shop; create schema pgflight; create table pgflight.mine (id int); \
             create table shop.customer (id bigint, region text, name varchar(20), primary key (region, id)); \
             create table shop.orders (id uuid primary key, customer bigint, region text, price numeric(10,2), tags text[], \
               foreign key (region, customer) references shop.customer (region, id) on delete cascade on update set null); \
             create view shop.cheap as select * from shop.orders; \
             create materialized view shop.counted as select count(*) from shop.orders; \
             create table shop.parted (d date) partition by range (d); \
             create table shop.parted_2026 partition of shop.parted for values from ('2026-01-01') to ('2027-01-01'); \
             create table \"a_b\" (x int); create table \"aXb\" (x int)",
        )
        .await;
    flight.put(path(&["loaded"]), &[rows()]).await.expect("an answer");
    let name = database.value("select current_database()").await;
    let sql = client(&server).await;
    (database, server, sql, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_and_tables_are_listed_by_patterns_and_kinds() {
    let (_database, _server, mut sql, name) = shop().await;
    let info = sql.get_catalogs().await.unwrap();
    assert_eq!(lines(&fetch(&mut sql, info).await, &["catalog_name"]), [name.as_str()]);
    let schemas = async |sql: &mut Sql, catalog: Option<&str>, like: Option<&str>| {
        let command = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: like.map(str::to_owned),
        };
        let info = sql.get_db_schemas(command).await.unwrap();
        lines(&fetch(sql, info).await, &["catalog_name", "db_schema_name"])
    };
    let all = [format!("{name}|public"), format!("{name}|shop")];
    assert_eq!(schemas(&mut sql, None, None).await, all);
    assert_eq!(schemas(&mut sql, Some(&name), Some("s%")).await, all[1..]);
    assert_eq!(schemas(&mut sql, Some("other"), None).await, [""; 0]);
    let tables = async |sql: &mut Sql, schema: Option<&str>, table: Option<&str>, types: &[&str]| {
        let command = CommandGetTables {
            catalog: None,
            db_schema_filter_pattern: schema.map(str::to_owned),
            table_name_filter_pattern: table.map(str::to_owned),
            table_types: types.iter().map(|ty| (*ty).to_owned()).collect(),
            include_schema: false,
        };
        let info = sql.get_tables(command).await.unwrap();
        lines(&fetch(sql, info).await, &["db_schema_name", "table_name", "table_type"])
    };
    assert_eq!(
        tables(&mut sql, None, None, &[]).await,
        [
            "public|aXb|TABLE",
            "public|a_b|TABLE",
            "public|loaded|TABLE",
            "shop|cheap|VIEW",
            "shop|counted|MATERIALIZED VIEW",
            "shop|customer|TABLE",
            "shop|orders|TABLE",
            "shop|parted|TABLE",
        ],
        "neither partitions nor tables of ours or of Postgres"
    );
    assert_eq!(
        tables(&mut sql, Some("sh_p"), Some("c%"), &["VIEW"]).await,
        ["shop|cheap|VIEW"]
    );
    let both = ["public|aXb|TABLE", "public|a_b|TABLE"];
    assert_eq!(tables(&mut sql, None, Some("a_b"), &[]).await, both);
    assert_eq!(tables(&mut sql, None, Some("a\\_b"), &[]).await, both[1..]);
    assert_eq!(tables(&mut sql, None, None, &["SYNONYM"]).await, [""; 0]);
    let info = sql.get_table_types().await.unwrap();
    assert_eq!(
        lines(&fetch(&mut sql, info).await, &["table_type"]),
        ["FOREIGN TABLE", "MATERIALIZED VIEW", "TABLE", "VIEW"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tables_than_a_page_are_all_listed() {
    let (database, server, _) = start().await;
    database
        .execute("do $$ begin for n in 100..345 loop execute format('create table t%s (x int)', n); end loop; end $$")
        .await;
    let mut sql = client(&server).await;
    let info = sql.get_tables(CommandGetTables::default()).await.unwrap();
    let found = lines(&fetch(&mut sql, info).await, &["table_name"]);
    let expected: Vec<String> = (100..=345).map(|n| format!("t{n}")).collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tables_schema_is_the_one_that_it_is_read_with_and_names_its_types() {
    let (_database, server, mut sql, name) = shop().await;
    let command = CommandGetTables {
        table_name_filter_pattern: Some("orders".to_owned()),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let info = sql.get_tables(command).await.unwrap();
    let told = fetch(&mut sql, info).await;
    let bytes = told.column_by_name("table_schema").unwrap().as_binary::<i32>().value(0);
    let schema = try_schema_from_ipc_buffer(bytes).unwrap();
    let mut flight = Flight::connect(&server).await;
    let read = flight
        .client
        .get_schema(path(&["shop", "orders"]))
        .await
        .unwrap()
        .into_inner();
    let read = arrow::datatypes::Schema::try_from(&read).unwrap();
    let bare = |schema: &arrow::datatypes::Schema| -> Vec<_> {
        let fields = schema.fields().iter();
        fields
            .map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()))
            .collect()
    };
    assert_eq!(bare(&schema), bare(&read));
    let noted = |column: &str, key: &str| {
        let metadata = schema.field_with_name(column).unwrap().metadata();
        metadata
            .get(&format!("ARROW:FLIGHT:SQL:{key}"))
            .cloned()
            .unwrap_or_default()
    };
    for (column, ty) in [
        ("id", "uuid"),
        ("price", "numeric(10,2)"),
        ("tags", "text[]"),
        ("customer", "bigint"),
    ] {
        assert_eq!(noted(column, "TYPE_NAME"), ty);
        assert_eq!(noted(column, "TABLE_NAME"), "orders");
        assert_eq!(noted(column, "DB_SCHEMA_NAME"), "shop");
        assert_eq!(noted(column, "CATALOG_NAME"), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn primary_keys_are_told_in_their_order() {
    let (_database, _server, mut sql, name) = shop().await;
    let shop = || Some("shop".to_owned());
    let of = |table: &str| CommandGetPrimaryKeys {
        catalog: Some(name.clone()),
        db_schema: shop(),
        table: table.to_owned(),
    };
    let info = sql.get_primary_keys(of("customer")).await.unwrap();
    let key = fetch(&mut sql, info).await;
    assert_eq!(
        lines(
            &key,
            &[
                "catalog_name",
                "db_schema_name",
                "table_name",
                "column_name",
                "key_sequence",
                "key_name"
            ]
        ),
        [
            format!("{name}|shop|customer|region|1|customer_pkey"),
            format!("{name}|shop|customer|id|2|customer_pkey"),
        ]
    );
    let info = sql.get_primary_keys(of("nothing")).await.unwrap();
    assert_eq!(fetch(&mut sql, info).await.num_rows(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_told_from_both_sides() {
    let (_database, _server, mut sql, _) = shop().await;
    let shop = || Some("shop".to_owned());
    let told = [
        "pk_table_name",
        "pk_column_name",
        "fk_table_name",
        "fk_column_name",
        "key_sequence",
        "fk_key_name",
        "pk_key_name",
        "update_rule",
        "delete_rule",
    ];
    let key = "orders_region_customer_fkey|customer_pkey|2|0";
    let expected = [
        format!("customer|region|orders|region|1|{key}"),
        format!("customer|id|orders|customer|2|{key}"),
    ];
    let exported = CommandGetExportedKeys {
        catalog: None,
        db_schema: shop(),
        table: "customer".to_owned(),
    };
    let info = sql.get_exported_keys(exported).await.unwrap();
    assert_eq!(lines(&fetch(&mut sql, info).await, &told), expected);
    let imported = CommandGetImportedKeys {
        catalog: None,
        db_schema: None,
        table: "orders".to_owned(),
    };
    let info = sql.get_imported_keys(imported).await.unwrap();
    assert_eq!(lines(&fetch(&mut sql, info).await, &told), expected);
    let mut crossed = CommandGetCrossReference {
        pk_db_schema: shop(),
        pk_table: "customer".to_owned(),
        fk_db_schema: shop(),
        fk_table: "orders".to_owned(),
        ..CommandGetCrossReference::default()
    };
    let info = sql.get_cross_reference(crossed.clone()).await.unwrap();
    assert_eq!(lines(&fetch(&mut sql, info).await, &told), expected);
    crossed.fk_table = "customer".to_owned();
    let info = sql.get_cross_reference(crossed).await.unwrap();
    assert_eq!(fetch(&mut sql, info).await.num_rows(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_info_tells_what_is_done_and_nothing_more() {
    let (_database, server, _) = start().await;
    let mut sql = client(&server).await;
    let asked = [
        SqlInfo::FlightSqlServerTransaction,
        SqlInfo::FlightSqlServerBulkIngestion,
    ];
    let info = sql.get_sql_info(asked.to_vec()).await.unwrap();
    let told = fetch(&mut sql, info).await;
    assert_eq!(told.num_rows(), 2, "only what is asked for");
    let info = sql.get_sql_info(Vec::new()).await.unwrap();
    let all = fetch(&mut sql, info).await;
    let names = all.column(0).as_primitive::<arrow::datatypes::UInt32Type>();
    assert!(names.values().iter().all(|name| *name < 10_000), "JDBC knows no others");
    let values = all.column(1).as_union();
    let flag = |name: SqlInfo| {
        let row = names
            .values()
            .iter()
            .position(|found| *found == name as u32)
            .expect("told");
        values.value(row).as_boolean().value(0)
    };
    assert!(flag(SqlInfo::FlightSqlServerBulkIngestion));
    for not_done in [
        SqlInfo::FlightSqlServerSql,
        SqlInfo::FlightSqlServerSubstrait,
        SqlInfo::FlightSqlServerCancel,
        SqlInfo::FlightSqlServerIngestTransactionsSupported,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDdlTable,
    ] {
        assert!(!flag(not_done), "{not_done:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_told_with_their_numbers() {
    let (_database, server, _) = start().await;
    let mut sql = client(&server).await;
    let info = sql
        .get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None })
        .await
        .unwrap();
    let all = fetch(&mut sql, info).await;
    let told = lines(&all, &["type_name", "data_type"]);
    assert!(
        told.contains(&"int8|-5".to_owned()) && told.contains(&"timestamptz|93".to_owned()),
        "{told:?}"
    );
    let info = sql
        .get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: Some(12) })
        .await
        .unwrap();
    assert_eq!(lines(&fetch(&mut sql, info).await, &["type_name"]), ["text", "varchar"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_closed_though_nothing_of_it_is_kept() {
    let (_database, _server, mut flight) = start().await;
    let action = Action {
        r#type: "CloseSession".to_owned(),
        body: Default::default(),
    };
    let answers = flight.client.do_action(action).await.unwrap().into_inner();
    let answers: Vec<arrow_flight::Result> = answers.try_collect().await.unwrap();
    assert_eq!(answers[0].body.as_ref(), [0x08, 0x01], "status: CLOSED");
    let listed = flight
        .client
        .list_actions(arrow_flight::Empty {})
        .await
        .unwrap()
        .into_inner();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let names: Vec<&str> = listed.iter().map(|action| action.r#type.as_str()).collect();
    for name in [
        "GetSessionOptions",
        "SetSessionOptions",
        "CloseSession",
        "pgflight.migrate",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}
