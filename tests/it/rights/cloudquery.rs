//! Each message of a CloudQuery client is held against the rules, table by table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;
use tonic::Code;

use super::{rule, server};
use crate::cloudquery::client::{Cq, delete_records, delete_stale, insert, migrate};
use crate::support::server::Server;

fn one_row(table: &str, keyed: bool) -> RecordBatch {
    let field = Field::new("id", DataType::Int64, false);
    let key = HashMap::from([("cq:extension:primary_key".to_owned(), keyed.to_string())]);
    let metadata = HashMap::from([("cq:table_name".to_owned(), table.to_owned())]);
    let schema = Schema::new_with_metadata(vec![field.with_metadata(key)], metadata);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(vec![1])) as ArrayRef]).expect("it works")
}

async fn ready(server: &Server) -> Cq {
    Cq::ready(server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_write_needs_the_right_to_its_table() {
    let rules = json!([
        rule(&["public.mine"], &["append"]),
        rule(&["public.made"], &["migrate"])
    ]);
    let (database, server, _flight) = server(rules).await;
    database.execute("create table mine (id bigint not null); create table other (id bigint not null, _cq_source_name text, _cq_sync_time timestamp)").await;
    let (mine, other, keyed) = (one_row("mine", false), one_row("other", false), one_row("mine", true));
    let mut cq = ready(&server).await;
    cq.put(vec![migrate(&mine.schema()), insert(&mine)]).await;
    cq.put(vec![migrate(&one_row("made", false).schema())]).await;
    for (messages, words) in [
        (vec![insert(&other)], "append rows to public.other"),
        (vec![insert(&keyed)], "overwrite rows of public.mine"),
        (vec![insert(&one_row("made", false))], "append rows to public.made"),
        (vec![migrate(&other.schema())], "create or change public.other"),
        (
            vec![migrate(&mine.schema()), migrate(&other.schema())],
            "create or change public.other",
        ),
        (vec![delete_stale("other", "s", 0)], "delete rows of public.other"),
        (vec![delete_stale("mine", "s", 0)], "delete rows of public.mine"),
        (
            vec![delete_records("mine", Vec::new(), &[])],
            "delete rows of public.mine",
        ),
    ] {
        let (code, text) = ready(&server).await.refused(messages).await;
        assert_eq!(code, Code::PermissionDenied, "{text}");
        assert!(text.contains(words), "{text}");
    }
    let count = "select (select count(*) from mine), (select count(*) from other), to_regclass('made') is not null";
    assert_eq!(database.lines(count).await, ["1|0|t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_below_another_needs_the_right_to_delete_as_well() {
    let (database, server, _flight) = server(json!([rule(&["public.mine"], &["delete"])])).await;
    database
        .execute("create table mine (id bigint, _cq_id uuid); create table below (id bigint, _cq_parent_id uuid)")
        .await;
    let (code, text) = ready(&server)
        .await
        .refused(vec![delete_records("mine", Vec::new(), &[("below", "mine")])])
        .await;
    assert_eq!(
        (code, text.contains("public.below")),
        (Code::PermissionDenied, true),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_needs_the_right_to_read_and_a_database_of_ones_own_the_right_of_an_admin() {
    let (database, server, _flight) = server(json!([rule(&["public.mine"], &["append"])])).await;
    database.execute("create table mine (id bigint not null)").await;
    let mut cq = ready(&server).await;
    let request = pgflight::server::cloudquery::pb::read::Request {
        table: crate::cloudquery::client::schema_bytes(&one_row("mine", false).schema()).into(),
    };
    let status = cq.plugin.read(request).await.map(drop).unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let own = json!({"connection_string": format!("{}?application_name=own", database.uri())});
    let status = Cq::connect(&server).await.init(&own).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("right admin"), "{status:?}");
    let equal = json!({"connection_string": database.uri()});
    Cq::connect(&server).await.init(&equal).await.expect("the server's own");
}
