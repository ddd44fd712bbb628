//! Ingests rows by Flight SQL, looks at the table that they made and, where statements may be run, reads them back.
//! Nothing of pgflight is used: `arrow-flight`'s own client speaks to the server.
//!
//! ```sh
//! cargo run --example flight_sql -- http://127.0.0.1:8815 people
//! ```

use std::error::Error;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetTables, CommandStatementIngest, SqlInfo, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use futures::TryStreamExt;
use tonic::transport::Channel;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8815".to_owned());
    let table = arguments.next().unwrap_or_else(|| "people".to_owned());
    for line in tour(&uri, &table).await? {
        println!("{line}");
    }
    Ok(())
}

/// What is seen on the way, line by line.
pub(crate) async fn tour(uri: &str, table: &str) -> Result<Vec<String>, Failure> {
    let channel = Channel::from_shared(uri.to_owned())?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel);
    let mut seen = Vec::new();

    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2])) as _),
        ("name", Arc::new(StringArray::from(vec![Some("Ada"), None])) as _),
    ])?;
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create as i32,
            if_exists: TableExistsOption::Append as i32,
        }),
        table: table.to_owned(),
        ..CommandStatementIngest::default()
    };
    let stored = client
        .execute_ingest(command, futures::stream::iter([Ok(rows)]))
        .await?;
    seen.push(format!("ingested {stored} rows"));

    let tables = CommandGetTables {
        table_name_filter_pattern: Some(table.to_owned()),
        ..CommandGetTables::default()
    };
    let info = client.get_tables(tables).await?;
    let found = fetch(&mut client, info).await?;
    seen.push(format!(
        "{} tables of that name",
        found.iter().map(RecordBatch::num_rows).sum::<usize>()
    ));

    if runs_sql(&mut client).await? {
        let info = client
            .execute(format!("select id, name from {table} order by id"), None)
            .await?;
        let found = fetch(&mut client, info).await?;
        seen.push(format!(
            "read {} rows",
            found.iter().map(RecordBatch::num_rows).sum::<usize>()
        ));
    }
    client.close().await?;
    Ok(seen)
}

async fn fetch(
    client: &mut FlightSqlServiceClient<Channel>,
    info: arrow_flight::FlightInfo,
) -> Result<Vec<RecordBatch>, Failure> {
    let mut batches = Vec::new();
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.ok_or("an endpoint has no ticket")?;
        batches.extend(client.do_get(ticket).await?.try_collect::<Vec<_>>().await?);
    }
    Ok(batches)
}

/// Whether the server runs statements (`flight_sql.queries`).
async fn runs_sql(client: &mut FlightSqlServiceClient<Channel>) -> Result<bool, Failure> {
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerSql]).await?;
    let told = fetch(client, info).await?;
    let value = told.first().ok_or("the server does not say")?.column(1);
    let value = arrow::array::AsArray::as_union(value).value(0);
    Ok(arrow::array::AsArray::as_boolean(&value).value(0))
}
