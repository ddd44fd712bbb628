//! When rows are written that wait, and what they hold until then; over a destination that refuses every load, so that the
//! first one ends the call.

use std::collections::HashMap;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use futures::stream;

use super::*;
use crate::config::Config;
use crate::ingest::budget::ByteBudget;
use crate::ingest::guard::Guard;
use crate::ingest::journal::Journal;
use crate::model::caller::Caller;
use crate::model::caller::Principal;
use crate::model::options::NulBytes;
use crate::server::cloudquery::clients::Client;
use crate::server::cloudquery::closed::Closed;
use crate::server::cloudquery::spec::Settings;

/// Long enough for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn writer(budget: &ByteBudget, batch_timeout: Duration) -> Writer {
    let destination = Guard::default().over(Arc::new(Closed));
    let settings = Settings {
        config: Arc::new(Config::default()),
        batch_timeout,
        keep_tables_without_rows: false,
        nul_bytes: NulBytes::Strip,
    };
    let client = Client {
        principal: Principal::Anonymous,
        settings,
        destination: Some(destination.clone()),
    };
    Writer::new(WriteContext {
        client: Arc::new(client),
        destination,
        caller: Caller::anonymous(),
        budget: budget.clone(),
        idle_timeout: PATIENCE,
        journal: Journal::default(),
    })
}

/// An insert of so many zeros.
fn insert(table: &str, rows: usize, compression: Option<CompressionType>) -> pb::write::Request {
    let metadata = HashMap::from([("cq:table_name".to_owned(), table.to_owned())]);
    let fields = vec![Field::new("v", DataType::Int64, false)];
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let values = Arc::new(Int64Array::from(vec![0; rows]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![values]).expect("one column");
    let options = IpcWriteOptions::default().try_with_compression(compression);
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options.expect("a known compression"))
        .expect("a schema can be written");
    writer.write(&batch).expect("a batch can be written");
    let record = writer.into_inner().expect("a stream can be ended").into();
    pb::write::Request {
        message: Some(Message::Insert(pb::write::MessageInsert { record })),
    }
}

#[tokio::test]
async fn rows_that_have_waited_long_enough_are_written_while_messages_keep_coming() {
    let end = Instant::now() + PATIENCE;
    let nothing = insert("b", 0, None);
    let endless = stream::iter(std::iter::repeat_with(move || Ok(nothing.clone())))
        .take_while(move |_| futures::future::ready(Instant::now() < end));
    let messages = stream::iter([Ok(insert("a", 1, None))]).chain(endless);
    let writer = writer(&ByteBudget::new(1 << 20), Duration::from_millis(1));
    let outcome = writer.run(Box::pin(messages), Gate::default()).await;
    assert_eq!(
        outcome.unwrap_err().to_string(),
        Error::Internal("closed".to_owned()).to_string()
    );
    assert!(
        Instant::now() < end,
        "the row was written only when the client had sent all"
    );
}

#[tokio::test]
async fn rows_that_wait_are_written_when_others_wait_for_their_memory() {
    let budget = ByteBudget::new(16 << 10);
    let writer = writer(&budget, Duration::from_secs(3600));
    // One row, and then silence.
    let messages = stream::iter([Ok(insert("a", 1, None))]).chain(stream::pending());
    let silent = tokio::spawn(writer.run(Box::pin(messages), Gate::default()));
    while budget.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let all = tokio::time::timeout(PATIENCE, budget.acquire(16 << 10)).await;
    assert_eq!(all.expect("the silent client lets go").bytes(), 16 << 10);
    assert!(silent.await.unwrap().is_err());
}

#[tokio::test]
async fn a_record_holds_memory_for_what_it_unpacks_to() {
    let rows = 1 << 15;
    let request = insert("a", rows, Some(CompressionType::ZSTD));
    let Some(Message::Insert(sent)) = &request.message else {
        panic!("an insert is one");
    };
    assert!(sent.record.len() < rows, "{} bytes are sent", sent.record.len());
    for budget in [rows * 8 * 2, rows * 4] {
        let budget = ByteBudget::new(budget);
        let mut writer = writer(&budget, Duration::from_secs(3600));
        writer.take(request.message.clone()).await.unwrap();
        assert!(budget.in_flight() >= rows * 4, "{} bytes are held", budget.in_flight());
        assert!(budget.try_acquire(rows * 9).is_none());
    }
}

#[tokio::test]
async fn what_failed_holds_no_memory_while_the_client_sends_the_rest() {
    let budget = ByteBudget::new(1 << 20);
    let mut writer = writer(&budget, Duration::from_secs(3600));
    writer.take(insert("a", 100, None).message).await.unwrap();
    assert!(budget.in_flight() > 0);
    writer.fail(Error::Internal("closed".to_owned()));
    assert_eq!(budget.in_flight(), 0);
}
