//! F12: no space left. A small file system holds a tablespace: of the table, or of temporary tables (where an overwrite
//! stages its rows). Root mounts a tmpfs for it; whoever is not root gets the same SQLSTATE from a trigger, since a file
//! system cannot be had then.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tonic::Code;

use super::{MODES, Mode, Scene, oracle_for, put};
use crate::support::cluster::{Cluster, Options};
use crate::support::database::Database;
use crate::support::seed::points;

/// A file system of a few MiB; unmounted when dropped, after the cluster that uses it.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None` without the right to mount.
    fn mount(for_owner_of: &Path) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("pgflight-small-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m,mode=0755", "none"])
            .arg(&path)
            .status();
        if !mounted.is_ok_and(|status| status.success()) {
            return None;
        }
        let owner = std::fs::metadata(for_owner_of).expect("the cluster's data");
        std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).expect("root may");
        Some(Self { path })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.path).status());
        drop(std::fs::remove_dir(&self.path));
    }
}

/// What is full.
#[derive(Clone, Copy, Debug)]
enum Full {
    Table,
    Staging,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_loses_nothing_and_heals_without_a_restart() {
    // Declared first, so that it is unmounted last.
    let disk;
    let cluster = Cluster::private(&Options {
        fast: true,
        ..Options::default()
    });
    disk = SmallDisk::mount(&cluster.address().data_dir);
    let disk = disk.as_ref().map(|disk| disk.path.as_path());
    // In `batch` mode a staging table holds one chunk at a time and fills nothing.
    let table = MODES.map(|mode| (Full::Table, mode)).into_iter();
    // Each case waits for a retry after seconds, so a short run takes two modes.
    let short = |(_, mode): &(Full, Mode)| points(1) > 1 || [MODES[0], MODES[3]].contains(mode);
    let cases = table.filter(short).chain([(Full::Staging, MODES[3])]);
    for (full, mode) in cases {
        if disk.is_none() && matches!(full, Full::Staging) {
            println!("no right to mount: a trigger cannot stand on a staging table, so only the table is filled");
            continue;
        }
        let scene = Scene::over(Database::create_in(&cluster).await, json!({"retry_timeout": "1s"})).await;
        prepare(&scene.database, disk, full, mode).await;
        let mut oracle = oracle_for(mode);
        let mut flight = scene.client().await;
        put(&mut flight, mode, &mut oracle, "before", 2).await.unwrap();
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
