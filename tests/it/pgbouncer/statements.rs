//! Statements of the SQL door behind a pooler: none in transaction mode, and in session mode with our settings, which nobody finds later.

use arrow::array::AsArray;
use arrow_flight::sql::client::FlightSqlServiceClient;
use serde_json::json;
use tonic::transport::Channel;

use super::Behind;
use crate::flight_sql::queries::select;
use crate::support::cluster::{self, Cluster};
use crate::support::database::Database;
use crate::support::pgbouncer::lent;

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(
    not(pgbouncer),
    ignore = "NOT RUN: no PgBouncer; scripts/pgbouncer install brings one"
)]
async fn statements_need_a_pooler_that_keeps_sessions_and_leave_them_empty() {
    for &version in cluster::versions() {
        let database = Database::create_in(Cluster::shared(version)).await;
        let name = database.name();
        let zone = format!("alter database {name} set timezone = 'Asia/Tokyo'");
        database.execute(&zone).await;
        for (mode, pooler) in [("transaction", "auto"), ("session", "auto"), ("session", "session")] {
            let configuration = format!("pool_mode = {mode}");
            let settings = json!({"flight_sql": {"queries": "read-write"}, "pool": {"pooler": pooler, "max_size": 1}});
            let server = Behind::start(&database, &[&configuration], settings).await;
            let before = lent(server.bouncer.uri()).await;
            let channel = Channel::from_shared(server.http()).expect("a URI").connect().await;
            let mut sql = FlightSqlServiceClient::new(channel.expect("the server listens"));
            let told = select(&mut sql, "select pg_catalog.current_setting('timezone') as zone").await;
            if pooler == "auto" {
                let refused = told.expect_err("sessions may be lent");
                assert!(refused.contains("pool.pooler: session"), "{refused}");
                continue;
            }
            let told = told.unwrap_or_else(|error| panic!("{mode} {pooler}: {error}"));
            assert_eq!(told.column(0).as_string::<i32>().value(0), "UTC");
            drop(sql);
            let Behind { server, bouncer } = server;
            server.stop().await;
            assert_eq!(lent(bouncer.uri()).await, before);
        }
    }
}
