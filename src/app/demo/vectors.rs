//! What the demo shows of embeddings: the customers' comments, embedded with the test provider while one watches.
//!
//! The provider is `hash_test`: no key, no network, and no meaning in the vectors, which the text says.

use std::time::{Duration, Instant};

use pgvector::Vector;
use serde_json::{Value, json};
use tokio_postgres::{Client, Error, Row};

use crate::embed::hash_test;

/// Table of the chunks.
const VECTORS: &str = "customer_vectors";
/// Numbers in a vector.
const DIMENSIONS: usize = 64;
/// How often the ledger is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait; the workers need some seconds per 100,000 rows.
const LONGEST: Duration = Duration::from_secs(600);

/// The configuration that embeds the customers' comments.
pub(super) fn settings() -> Value {
    json!({
        "tables": [{
            "source_table_name": "customer",
            "target_table_name": VECTORS,
            "embed_columns": ["c_comment"],
            "metadata_columns": ["c_name"],
        }],
        "openai_embedding": {
            "provider": "hash_test", "allow_test_provider": true, "model_name": "hash_test", "dimensions": DIMENSIONS,
        },
    })
}

/// Two customers whose comments are nearest to `$1`, the first customer left out.
const NEAREST: &str = "\
select v.c_custkey::text as customer, left(v.chunk, 40) as comment, round((v.embedding <=> $1)::numeric, 3)::text as distance
from customer_vectors v
where v.c_custkey <> 1
order by v.embedding <=> $1
limit 2";

/// The two customers whose comments are nearest to the first customer's, with the names of the columns. The comment is embedded
/// and its vector bound, as an application does it.
pub(super) async fn nearest(client: &Client) -> Result<Vec<Vec<String>>, Error> {
    let comment = format!("select chunk from {VECTORS} where c_custkey = 1");
    let comment: String = client.query_one(&comment, &[]).await?.get(0);
    let wanted = Vector::from(hash_test::vector(&comment, DIMENSIONS));
    let rows = client.query(NEAREST, &[&wanted]).await?;
    let names = |row: &Row| row.columns().iter().map(|column| column.name().to_owned()).collect();
    let head: Option<Vec<String>> = rows.first().map(names);
    let cells = rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect());
    Ok(head.into_iter().chain(cells).collect())
}

/// Waits until every customer is embedded; says how many chunks there are and how long it took.
pub(super) async fn watch(client: &Client) -> Result<String, Error> {
    let started = Instant::now();
    let waits = "select exists (select from pgflight.embed_journal) \
                 or exists (select from pgflight.embed_state where state in (0, 1))";
    while client.query_one(waits, &[]).await?.get::<_, bool>(0) && started.elapsed() < LONGEST {
        tokio::time::sleep(LOOK).await;
    }
    let counted = client
        .query_one(&format!("select count(*) from {VECTORS}"), &[])
        .await?;
    let chunks: i64 = counted.get(0);
    Ok(format!(
        "Embeddings of customer.c_comment, made by the test provider (hashes, without meaning) {:.1} s after the last load: \
         {chunks} chunks in {VECTORS}. The two nearest to customer 1, by pgvector:",
        started.elapsed().as_secs_f64()
    ))
}
