//! Services and postmasters that die at random moments, again and again, while rows are loaded and embedded.
//!
//! `PGFLIGHT_FAULT_POINTS` sets the number of deaths; each round's seed is printed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::Child;

use super::process::ConfigFile;
use super::{DIMENSIONS, docs, upsert, wanted};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::embeddings::{Stub, drained, settings};
use crate::support::flight::Flight;
use crate::support::process::free_address;
use crate::support::seed::{Dice, Points};

/// Rows of one load, out of twice as many.
const ROWS: u64 = 120;

/// The service as a process that can be killed and started again at the same address.
struct Service {
    file: ConfigFile,
    child: Child,
}

impl Service {
    fn start(file: ConfigFile) -> Self {
        let child = file.command(&["serve"]).spawn().expect("the program starts");
        Self { file, child }
    }

    async fn kill_and_start(&mut self) {
        self.child.kill().await.expect("it runs");
        self.child = self.file.command(&["serve"]).spawn().expect("the program starts");
    }
}

/// Puts rows until they are taken: those whose answer was lost are put again.
async fn put(address: SocketAddr, rows: &[(i64, &str, Option<&str>)]) {
    let (started, mut why) = (Instant::now(), "it does not listen".to_owned());
    loop {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            let mut flight = Flight::reach(&format!("http://{address}")).await;
            match flight.put(upsert(), &[docs(rows)]).await {
                Ok(_) => return,
                Err(status) => why = status.to_string(),
            }
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{why}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Texts of one to six chunks; some rows of a round have the texts of before, some none.
fn bodies(dice: &mut Dice, round: u64) -> Vec<(i64, Option<String>)> {
    let rows = (0..ROWS).map(|_| {
        let id = dice.number(0..2 * ROWS) as i64;
        let age = round.saturating_sub(dice.number(0..3));
        let words = (0..dice.number(0..30)).map(|word| format!("w{id}x{age}x{word}"));
        let body = words.collect::<Vec<_>>().join(" ");
        (id, Some(body).filter(|_| dice.number(0..20) > 0))
    });
    let rows: BTreeMap<i64, Option<String>> = rows.collect();
    rows.into_iter().collect()
}

/// Every chunk of every row is there, once, with the vector of its own text, and no other is.
async fn nothing_is_missing_doubled_or_wrong(database: &Database) -> usize {
    let chunks = super::chunks(database).await;
    assert_eq!(chunks, wanted(database).await);
    let rows = database
        .query("select chunk, embedding::real[] from docs_vectors", &[])
        .await;
    for row in &rows {
        let (chunk, found): (&str, Vec<f32>) = (row.get(0), row.get(1));
        let right = pgflight::embed::hash_test::vector(chunk, DIMENSIONS);
        assert_eq!(found, right, "the vector of {chunk:?}");
    }
    rows.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_postmasters_that_die_at_any_moment_lose_double_and_mix_up_no_chunk() {
    let mut dice = Dice::throw("embedding kills");
    let mut cluster = Cluster::private(&Options::default());
    let mut database = Database::create_in(&cluster).await;
    let stub = Stub::start(DIMENSIONS).await;
    stub.set_delay(Duration::from_millis(30));
    stub.limit_one_in(9);
    let address = free_address();
    let mut settings = settings(&stub, DIMENSIONS as u32);
    settings["listen"] = json!(address.to_string());
    settings["admin_listen"] = json!("off");
    settings["embeddings"]["lease"] = json!("3s");
    let mut service = Service::start(ConfigFile::write(&database, settings));
    let (mut deaths, mut checked) = ([0, 0], 0);
    for round in Points::short(4).rounds() {
        let rows = bodies(&mut dice, round);
        let rows: Vec<(i64, &str, Option<&str>)> = rows.iter().map(|(id, body)| (*id, "k", body.as_deref())).collect();
        let of_service = dice.number(0..2) == 0;
        let moment = Duration::from_millis(dice.number(0..2500));
        let death = async {
            tokio::time::sleep(moment).await;
            if of_service {
                service.kill_and_start().await;
            } else {
                cluster.kill().await;
                cluster.start();
            }
        };
        tokio::join!(put(address, &rows), death);
        deaths[usize::from(!of_service)] += 1;
        database.reconnect().await;
        if dice.number(0..4) == 0 {
            drained(&database).await;
            checked += nothing_is_missing_doubled_or_wrong(&database).await;
        }
    }
    drained(&database).await;
    checked += nothing_is_missing_doubled_or_wrong(&database).await;
    let requests = stub.take().len();
    println!(
        "seed {}: {} deaths of the service, {} of the postmaster, {requests} requests, {checked} chunks checked, none wrong",
        dice.seed, deaths[0], deaths[1]
    );
    service.child.kill().await.expect("it runs");
}
