//! The queries and settings of docs/embeddings.md work as they stand there.

use serde_json::{Value, json};

use super::{docs, upsert};
use crate::support::database::Database;
use crate::support::embeddings::drained;
use crate::support::flight::Flight;
use crate::support::server::Server;

pub(super) fn blocks(language: &str) -> Vec<String> {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/embeddings.md")).expect("the page is there");
    let start = format!("```{language}\n");
    let parts = page.split(&start).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_s_settings_embed_and_its_query_finds_the_row_itself_first() {
    let yaml = blocks("yaml");
    let mut settings: Value = serde_norway::from_str(&yaml[0]).unwrap();
    let provider: Value = serde_norway::from_str(&yaml[1]).unwrap();
    settings["pgvector_config"]["openai_embedding"] = provider["openai_embedding"].clone();
    settings["pgvector_config"]["tables"][0]["embed_columns"] = json!(["kind", "body"]);
    settings["embeddings"] = json!({"poll_interval": "20ms"});
    let database = Database::create().await;
    settings["connection_string"] = json!(database.uri());
    let server = Server::start_with(database.uri(), settings).await;
    let rows: Vec<(i64, &str, Option<&str>)> = vec![
        (1, "a", Some("one")),
        (2, "a", Some("one")),
        (3, "b", Some("two")),
        (4, "c", Some("three")),
        (5, "d", Some("four")),
        (6, "e", Some("five")),
    ];
    Flight::connect(&server)
        .await
        .put(upsert(), &[docs(&rows)])
        .await
        .unwrap();
    drained(&database).await;
    let found = database.lines(&blocks("sql")[0]).await;
    assert_eq!(found.len(), 5);
    let mut nearest: Vec<&String> = found.iter().take(2).collect();
    nearest.sort();
    assert_eq!(nearest, ["1|a\none|0", "2|a\none|0"]);
}
