//! F12: no space left. A small file system holds a tablespace: of the table, or of temporary tables (where an overwrite
//! stages its rows); or it holds the server's write-ahead log. Root, or sudo, mounts a tmpfs for it; without either the
//! table's own test gets the same SQLSTATE from a trigger. The others cannot run then, and fail unless they are told so.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tonic::Code;

use super::{MODES, Mode, Scene, endless, oracle_for, put};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::feed::{Tap, feed};
use crate::support::flight::Flight;
use crate::support::process::is_alive;
use crate::support::seed::Points;

/// A small file system; unmounted when dropped, after the cluster that uses it.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount(for_owner_of: &Path, name: &str, mebibytes: u32) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("pgflight-small-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        let owner = std::fs::metadata(for_owner_of).expect("the cluster's data");
        let options = format!("size={mebibytes}m,mode=0755,uid={},gid={}", owner.uid(), owner.gid());
        as_root(&["mount", "-t", "tmpfs", "-o", &options, "none"], &path).then_some(Self { path })
    }

    /// The same for a test that nothing else can take the place of: `None` only where it is to be left out.
    fn demand(for_owner_of: &Path, name: &str, mebibytes: u32) -> Option<Self> {
        let disk = Self::mount(for_owner_of, name, mebibytes);
        assert!(
            disk.is_some() || std::env::var_os(WITHOUT_MOUNT).is_some(),
            "this test mounts a file system of {mebibytes} MiB: run it as root or with a sudo that asks nothing, or set \
             {WITHOUT_MOUNT}=1 to leave it out"
        );
        disk
    }

    /// Puts the write-ahead log of a cluster here.
    fn take_log_of(&self, cluster: &mut Cluster) {
        cluster.stop();
        let (from, to) = (cluster.address().data_dir.join("pg_wal"), self.path.join("pg_wal"));
        let text = |path: &Path| path.to_str().expect("paths of tests are texts").to_owned();
        assert!(as_root(&["cp", "-a", &text(&from)], &to), "its log is copied");
        assert!(as_root(&["rm", "-r"], &from), "its log has moved");
        assert!(as_root(&["ln", "-s", &text(&to)], &from), "its log is linked");
        cluster.start();
    }

    fn grow(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}m");
        assert!(as_root(&["mount", "-o", &size], &self.path), "it grows");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy"], &self.path);
        drop(std::fs::remove_dir(&self.path));
    }
}

/// Runs a command about a path, directly or by a sudo that asks nothing; whether it worked.
fn as_root(command: &[&str], path: &Path) -> bool {
    [&[][..], &["sudo", "-n"]].iter().any(|prefix| {
        let words: Vec<&str> = prefix.iter().chain(command).copied().collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(path).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// What is full.
#[derive(Clone, Copy, Debug)]
enum Full {
    Table,
    Staging,
}

/// Set where no file system may be mounted, to leave the test out that needs one.
const WITHOUT_MOUNT: &str = "PGFLIGHT_TEST_WITHOUT_MOUNT";

fn cluster() -> Cluster {
    Cluster::private(&Options {
        fast: true,
        ..Options::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_loses_nothing_and_heals_without_a_restart() {
    // Declared first, so that it is unmounted last.
    let disk;
    let cluster = cluster();
    disk = SmallDisk::mount(&cluster.address().data_dir, "table", 3);
    let disk = disk.as_ref().map(|disk| disk.path.as_path());
    // Each case waits for a retry after seconds, so a short run takes three modes.
    let short = |mode: &Mode| Points::short(1).is_long() || [MODES[0], MODES[3], MODES[6]].contains(mode);
    for mode in MODES.into_iter().filter(short) {
        fill(&cluster, disk, Full::Table, mode).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_of_staged_rows_heals_without_a_restart() {
    let disk;
    let cluster = cluster();
    disk = SmallDisk::demand(&cluster.address().data_dir, "staging", 3);
    if disk.is_none() {
        return;
    }
    let disk = disk.as_ref().map(|disk| disk.path.as_path());
    // In `batch` mode a staging table holds one chunk at a time and fills nothing.
    let short = |mode: &Mode| Points::short(1).is_long() || [MODES[3], MODES[6]].contains(mode);
    let staging = MODES.into_iter().filter(|mode| mode.atomic() && mode.write != "append");
    for mode in staging.filter(short) {
        fill(&cluster, disk, Full::Staging, mode).await;
    }
}

/// A server whose log is full ends itself, and cannot come back before there is room.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_stops_postgres_and_with_room_again_nothing_is_lost_or_doubled() {
    let short = |mode: &Mode| Points::short(1).is_long() || [MODES[0], MODES[3]].contains(mode);
    for mode in MODES.into_iter().filter(short) {
        fill_log(mode).await;
    }
}

async fn fill_log(mode: Mode) {
    let disk;
    let mut cluster = Cluster::private(&Options {
        settings: vec!["max_wal_size=4GB".to_owned()],
        ..Options::default()
    });
    disk = SmallDisk::demand(&cluster.address().data_dir, "log", 64);
    let Some(disk) = &disk else { return };
    disk.take_log_of(&mut cluster);
    let scene = Scene::over(Database::create_in(&cluster).await, json!({})).await;
    let Scene {
        mut database,
        server,
        proxy,
    } = scene;
    let (mut oracle, tap) = (oracle_for(mode), Tap::default());
    let flight = Flight::connect(&server).await;
    let load = tokio::spawn(feed(flight.clone(), endless(mode, "hit"), tap.clone()));
    tap.wait_for(5).await;
    use_up_the_log(&database, &cluster.address().log).await;
    disk.grow(512);
    come_back(&mut cluster).await;
    database.reconnect().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    tap.close();
    let fed = load.await.expect("the load ended");
    fed.tell(&mut oracle);
    let context = format!("{mode:?}: {}", fed.ending());
    let again = put(&mut flight.clone(), mode, &mut oracle, "after", 2).await;
    assert!(again.is_ok(), "it heals without a restart of ours: {again:?} {context}");
    oracle.assert_holds(&database, &context).await;
    drop((server, proxy));
}

/// A server that could not recover has ended, and somebody starts it; one that could is there by itself.
async fn come_back(cluster: &mut Cluster) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if !is_alive(cluster.address().pid) {
            return cluster.start();
        }
        let trial = tokio_postgres::connect(&cluster.address().uri, tokio_postgres::NoTls);
        if matches!(tokio::time::timeout(Duration::from_secs(1), trial).await, Ok(Ok(_))) {
            return;
        }
        assert!(Instant::now() < deadline, "the server neither ended nor came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Begins one segment of the log after the other until there is no space for the next.
async fn use_up_the_log(database: &Database, log: &Path) {
    let client = database.connect().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !client.is_closed() {
        assert!(Instant::now() < deadline, "A10 the log was never full");
        drop(
            client
                .simple_query("select pg_logical_emit_message(false, '', ''), pg_switch_wal()")
                .await,
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = std::fs::read_to_string(log).expect("the server's log");
    let panic = log.lines().find(|line| line.contains("PANIC")).unwrap_or_default();
    assert!(panic.contains("No space left on device"), "A10 {panic:?}");
}

async fn fill(cluster: &Cluster, disk: Option<&Path>, full: Full, mode: Mode) {
    let scene = Scene::over(Database::create_in(cluster).await, json!({"retry_timeout": "1s"})).await;
    prepare(&scene.database, disk, full, mode).await;
    let mut oracle = oracle_for(mode);
    let mut flight = scene.client().await;
    put(&mut flight, mode, &mut oracle, "before", 2)
        .await
        .expect("there is room");
    let log = cluster.address().log.clone();
    let complaints = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .matches("could not extend")
            .count()
    };
    let before = complaints();
    let relieving = async {
        for _ in 0..6_000 {
            if complaints() > before {
                return relieve(&scene.database, mode).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("A10 the disk was never full");
    };
    let (result, ()) = tokio::join!(put(&mut flight, mode, &mut oracle, "too much", 300), relieving);
    let context = format!("{full:?} {mode:?}: {result:?}");
    if let Err(error) = result {
        assert_eq!(error.code(), Code::ResourceExhausted, "{context}");
        assert!(error.message().contains("53100"), "{context}");
    }
    oracle.assert_holds(&scene.database, &context).await;
    put(&mut flight, mode, &mut oracle, "after", 2).await.expect("it heals");
    oracle.assert_holds(&scene.database, &context).await;
    clear(&scene, mode).await;
}

async fn prepare(database: &Database, disk: Option<&Path>, full: Full, mode: Mode) {
    database.execute("create table filler (v text)").await;
    let table = mode.table();
    let Some(disk) = disk else {
        let trigger = format!(
            "create function full_disk() returns trigger language plpgsql as $$ begin \
             if pg_relation_size('{table}') > 1000000 and (select count(*) from filler) = 0 then \
             raise exception 'could not extend file' using errcode = '53100'; end if; return new; end $$; \
             create trigger full_disk before insert on {table} for each row execute function full_disk()"
        );
        return database.execute(&trigger).await;
    };
    database
        .execute(&format!("create tablespace small location '{}'", disk.display()))
        .await;
    match full {
        Full::Table => {
            database
                .execute(&format!("alter table {table} set tablespace small"))
                .await
        }
        Full::Staging => {
            let temporary = format!("alter database {} set temp_tablespaces = 'small'", database.name());
            database.execute(&temporary).await;
        }
    }
}

/// Makes room, as an administrator would.
async fn relieve(database: &Database, mode: Mode) {
    let small = "select count(*) from pg_tablespace where spcname = 'small'";
    match database.value(small).await.as_str() {
        "0" => database.execute("insert into filler values ('room')").await,
        _ => {
            database
                .execute(&format!("alter table {} set tablespace pg_default", mode.table()))
                .await
        }
    }
}

async fn clear(scene: &Scene, mode: Mode) {
    scene.proxy.reset_all();
    let name = scene.database.name();
    scene
        .database
        .execute(&format!(
            "drop table {}; alter database {name} reset temp_tablespaces",
            mode.table()
        ))
        .await;
    scene.database.execute("drop tablespace if exists small").await;
}
