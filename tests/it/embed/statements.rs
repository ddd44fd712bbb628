//! Every statement in `sql/embed` is what each supported server takes.

use crate::support::cluster::{Cluster, versions};
use crate::support::database::Database;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_can_be_prepared_on_every_server() {
    for version in versions() {
        let database = Database::create_in(Cluster::shared(*version)).await;
        database.execute("create schema pgflight").await;
        for step in pgflight::postgres::queries::STATE_STEPS {
            database.execute(step).await;
        }
        let mut prepared = 0;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/embed")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let statement = read(&format!("sql/embed/{name}"));
            let result = database.client().prepare(&statement).await;
            result.unwrap_or_else(|error| panic!("PostgreSQL {version}, {name}: {error:?}"));
            prepared += 1;
        }
        assert!(prepared > 20, "{prepared} statements");
    }
}
