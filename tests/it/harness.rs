//! Tests of the harness itself: what the other tests rely on must be true first.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::cluster::{self, Cluster, Options};
use crate::support::database::Database;
use crate::support::python::Python;

#[tokio::test]
async fn clusters_of_every_version_start_side_by_side_and_have_pgvector() {
    let mut ports = Vec::new();
    for &version in cluster::versions() {
        let cluster = Cluster::shared(version);
        assert_eq!(cluster.address().version, version);
        ports.push(cluster.address().port);
        let database = Database::create_in(cluster).await;
        assert!(
            database
                .value("show server_version_num")
                .await
                .starts_with(&version.to_string())
        );
        database
            .execute("create extension vector; create table t (v vector(3)); insert into t values ('[1,2,3]'), (null)")
            .await;
        assert_eq!(
            database.lines("select v, v <-> '[1,2,5]' from t order by v").await,
            ["[1,2,3]|2", "<null>|<null>"]
        );
    }
    ports.dedup();
    assert_eq!(ports.len(), cluster::versions().len(), "every cluster has its own port");
}

#[tokio::test]
async fn databases_of_two_tests_do_not_see_each_other_and_are_dropped() {
    let (one, other) = (Database::create().await, Database::create().await);
    one.execute("create table only_here (a int)").await;
    assert_eq!(other.value("select to_regclass('only_here') is null").await, "t");
    let rows = one
        .query("select datname from pg_database where datname = $1", &[&other.name()])
        .await;
    assert_eq!(rows[0].get::<_, &str>(0), other.name());
    let (name, session) = (other.name().to_owned(), other.connect().await);
    drop(other);
    assert!(
        session.simple_query("select 1").await.is_err(),
        "a session that a test left open does not keep its database"
    );
    let left = one
        .client()
        .query("select 1 from pg_database where datname = $1", &[&name])
        .await
        .unwrap();
    assert_eq!(left.len(), 0);
    assert!(one.uri().ends_with(one.name()));
}

#[tokio::test]
async fn a_private_cluster_crashes_and_comes_back_with_what_was_committed() {
    let mut cluster = Cluster::private(&Options {
        settings: vec!["log_min_messages=log".to_owned()],
        ..Options::default()
    });
    let database = Database::create_in(&cluster).await;
    database
        .execute("create table t (a int); insert into t values (1)")
        .await;
    let port = cluster.address().port;
    cluster.crash();
    assert!(database.client().simple_query("select 1").await.is_err());
    cluster.start();
    assert_eq!(cluster.address().port, port);
    let (log, data_dir) = (cluster.address().log.clone(), cluster.address().data_dir.clone());
    assert!(
        std::fs::read_to_string(log)
            .unwrap()
            .contains("automatic recovery in progress")
    );
    assert_eq!(
        database.connect().await.query("select a from t", &[]).await.unwrap()[0].get::<_, i32>(0),
        1
    );
    cluster.stop();
    cluster.start();
    assert!(cluster.address().socket_dir.join(format!(".s.PGSQL.{port}")).exists());
    assert!(cluster.address().bin_dir.join("postgres").exists());
    drop(database);
    drop(cluster);
    assert!(!data_dir.exists(), "a dropped cluster leaves no data behind");
}

#[tokio::test]
async fn a_cluster_with_a_password_refuses_a_wrong_one() {
    let cluster = Cluster::private(&Options {
        password: Some("it's: a / secret"),
        fast: true,
        ..Options::default()
    });
    let database = Database::create_in(&cluster).await;
    assert_eq!(database.value("select current_user").await, "postgres");
    let wrong = format!(
        "postgresql://postgres:wrong@127.0.0.1:{}/postgres",
        cluster.address().port
    );
    let error = tokio_postgres::connect(&wrong, tokio_postgres::NoTls)
        .await
        .err()
        .expect("a wrong password is refused");
    assert_eq!(error.code().map(|code| code.code()), Some("28P01"));
}

#[tokio::test]
async fn a_python_peer_has_flight_and_adbc_at_the_pinned_versions() {
    let versions = Python::pinned().run("versions.py", &[]).await;
    assert_eq!(versions.lines().count(), 3);
    for version in versions.lines() {
        let pinned = include_str!("../peers/python/requirements.txt");
        assert!(
            pinned.lines().any(|line| line == version),
            "{version} is not what requirements.txt pins"
        );
    }
    let failed = Python::pinned().attempt("no_such_file.py", &[]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(2), ""));
    assert!(failed.stderr.contains("no_such_file.py"));
}

/// Runs itself again as the parent that is going to be killed.
#[test]
fn a_cluster_stops_when_its_parent_is_killed() {
    const AS_PARENT: &str = "PGFLIGHT_TEST_AS_PARENT";
    if let Ok(pid_file) = std::env::var(AS_PARENT) {
        let cluster = Cluster::private(&Options {
            fast: true,
            ..Options::default()
        });
        std::fs::write(
            &pid_file,
            format!("{} {}", cluster.address().pid, cluster.address().data_dir.display()),
        )
        .unwrap();
        std::thread::sleep(Duration::from_secs(300));
        unreachable!("the parent was not killed");
    }
    let pid_file = std::env::temp_dir().join(format!("pgflight-test-parent-{}", std::process::id()));
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "harness::a_cluster_stops_when_its_parent_is_killed"])
        .env(AS_PARENT, &pid_file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut written = String::new();
    wait_until("the parent has started its cluster", || {
        written = std::fs::read_to_string(&pid_file).unwrap_or_default();
        written.contains('/')
    });
    std::fs::remove_file(&pid_file).unwrap();
    let (pid, data_dir) = written.split_once(' ').unwrap();
    assert!(is_running(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("the server of the killed parent is gone", || !is_running(pid));
    wait_until("its data are deleted", || !std::path::Path::new(data_dir).exists());
}

#[test]
fn a_command_runs_beside_a_cluster_that_ends_with_it() {
    let output = cluster::script()
        .args(["run", "--fast", "--set", "work_mem=7MB", "--", "sh", "-c"])
        .arg("psql -At --command 'show work_mem; show fsync; show port' \"$DATABASE_URL\"; exit 7")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(7),
        "the command's own exit code comes through: {complaint}"
    );
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], ["7MB", "off"], "{complaint}");
    let address = format!("127.0.0.1:{}", lines[2]);
    let refused = std::net::TcpStream::connect(&address).expect_err("nobody listens when the command is done");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_missing_registry_is_explained() {
    let cache = std::env::temp_dir().join(format!("pgflight-test-cache-{}", std::process::id()));
    let closed_port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let output = cluster::script()
        .args(["install", "--version", "18"])
        .env("PGFLIGHT_CACHE", &cache)
        .env("PGFLIGHT_PG_SOURCE", "wheel")
        .env("PIP_INDEX_URL", format!("http://127.0.0.1:{closed_port}/simple"))
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env_remove("PIP_EXTRA_INDEX_URL")
        .env_remove("PIP_FIND_LINKS")
        .env_remove("PGFLIGHT_PG_BIN")
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    std::fs::remove_dir_all(&cache).unwrap();
    assert_eq!(output.status.code(), Some(69), "{message}");
    assert_eq!(output.stdout, b"");
    for part in [
        "the package index cannot be reached",
        "Do one of these",
        "PIP_INDEX_URL",
        "PGFLIGHT_PG_BIN",
        "pgvector",
    ] {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "waited two minutes, but not: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process exists and is more than an entry that nobody has collected yet.
fn is_running(pid: &str) -> bool {
    let state = if std::path::Path::new("/proc/self/stat").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().unwrap_or_default().to_owned()
    } else {
        let output = Command::new("ps")
            .args(["-o", "stat=", "-p", pid])
            .output()
            .expect("macOS has `ps`");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    !state.is_empty() && !state.starts_with('Z')
}
