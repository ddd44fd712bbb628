//! `listen: unix:/path`: clients of several makers, as their users would write it. What they send as `:authority` is not what
//! an HTTP/2 library takes, and differs from one to the other.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use pgflight::app::serve::{self, Running};
use pgflight::config::Config;
use serde_json::{Value, json};
use tonic::transport::Endpoint;

use crate::support::database::Database;
use crate::support::flight::{Flight, batch, longs, path};
use crate::support::python::Python;

/// A directory whose name holds what socket paths may.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let place = std::env::temp_dir().join(format!("pg flight_%:{:08x}~=&", fastrand::u32(..)));
        std::fs::create_dir(&place).expect("a fresh directory");
        Self(place)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

async fn listening(database: &Database, socket: &std::path::Path) -> Running {
    let settings = json!({
        "connection_string": database.uri(), "admin_listen": "off", "listen": format!("unix:{}", socket.display()),
    });
    let config = Config::from_json(&settings).expect("usable settings");
    serve::start(config, Arc::new(String::new))
        .await
        .expect("the socket is free")
}

/// What a client answered about its three rows.
fn assert_put(printed: &str) {
    for line in printed.lines() {
        let answer: Value = serde_json::from_str(line).expect("a JSON result");
        assert_eq!(
            (&answer["rows"], &answer["committed"]),
            (&json!(3), &json!(3)),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_rust_and_their_paths_are_understood() {
    let database = Database::create().await;
    let plain = std::env::temp_dir().join(format!("pgflight-{:08x}.sock", fastrand::u32(..)));
    let odd = Place::new();
    for (n, socket) in [plain, odd.socket()].into_iter().enumerate() {
        let _running = listening(&database, &socket).await;
        let address = socket.display().to_string();
        // An address is a URI, so that what a URI gives another meaning is escaped in it.
        let escaped = address.replace('%', "%25").replace(' ', "%20");
        let printed = Python::pinned()
            .run("flight_put.py", &[&format!("grpc+unix://{escaped}")])
            .await;
        assert_eq!(printed.lines().count(), 2, "{printed}");
        assert_put(&printed);
        database.execute("drop table by_path, by_command").await;
        if n == 0 {
            let channel = Endpoint::try_from(format!("unix:{address}"))
                .expect("an address")
                .connect()
                .await;
            let rows = [batch(vec![("id", longs(0..3))])];
            let answer = Flight::over(channel.expect("it listens"))
                .put(path(&["t"]), &rows)
                .await;
            assert_eq!(answer.expect("it is understood")["committed"], 3);
        }
        std::fs::remove_file(&socket).ok();
    }
}

/// Built by the machine's Go, from pinned modules; a second time it takes no time.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(not(cloudquery_cli), ignore = "there is no Go that can build tests/peers/flight")]
async fn go_and_its_paths_are_understood() {
    let database = Database::create().await;
    let peer = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/flight");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("flight-peer");
    let built = std::process::Command::new("go")
        .args(["build", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(&peer)
        .envs([
            ("CGO_ENABLED", "0"),
            ("GOFLAGS", "-mod=readonly -buildvcs=false -p=2"),
            ("GOWORK", "off"),
        ])
        .status();
    assert!(built.expect("go starts").success(), "tests/peers/flight is not built");
    let odd = Place::new();
    let plain = std::env::temp_dir().join(format!("pgflight-{:08x}.sock", fastrand::u32(..)));
    for socket in [plain, odd.socket()] {
        let _running = listening(&database, &socket).await;
        // In Go's address `unix:` is followed by the path as it is, but for what a URI escapes.
        let escaped = socket.display().to_string().replace('%', "%25");
        let output = tokio::process::Command::new(&program)
            .args([&format!("unix:{escaped}"), "by_go"])
            .stdin(Stdio::null())
            .output()
            .await
            .expect("it was built");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        assert_put(&String::from_utf8_lossy(&output.stdout));
        std::fs::remove_file(&socket).ok();
    }
    assert_eq!(database.value("select count(*) from by_go").await, "6");
}
