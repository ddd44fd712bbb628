//! A second PostgreSQL server that follows a cluster by streaming replication: made by `pg_basebackup`, started as the same
//! account, promoted by tests. Stopped and deleted when dropped.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::cluster::Cluster;
use super::process::free_address;

/// A standby, or what became of one.
#[derive(Debug)]
pub(crate) struct Standby {
    server: Child,
    directory: PathBuf,
    bin_dir: PathBuf,
    account: (u32, u32),
    pub(crate) port: u16,
}

impl Standby {
    /// Copies the cluster and starts to follow it.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let address = cluster.address();
        let owner = std::fs::metadata(&address.data_dir).expect("the cluster's data");
        let account = (owner.uid(), owner.gid());
        let port = free_address().port();
        let directory = std::env::temp_dir().join(format!("pgflight-standby-{}-{port}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory for temporary files");
        std::os::unix::fs::chown(&directory, Some(account.0), Some(account.1)).expect("our own account, or root");
        let mut copy = Command::new(address.bin_dir.join("pg_basebackup"));
        copy.args([
            "-h",
            "127.0.0.1",
            "-p",
            &address.port.to_string(),
            "-U",
            "postgres",
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ]);
        let copied = copy
            .arg("-D")
            .arg(directory.join("data"))
            .current_dir("/")
            .uid(account.0)
            .gid(account.1)
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "pg_basebackup failed");
        let server = start(&address.bin_dir, &directory, account, port);
        Self {
            server,
            directory,
            bin_dir: address.bin_dir.clone(),
            account,
            port,
        }
    }

    /// Makes it a primary.
    pub(crate) fn promote(&self) {
        let mut promote = Command::new(self.bin_dir.join("pg_ctl"));
        promote
            .args(["promote", "-w", "-D"])
            .arg(self.directory.join("data"))
            .current_dir("/");
        let promoted = promote
            .uid(self.account.0)
            .gid(self.account.1)
            .stdout(Stdio::null())
            .status();
        assert!(promoted.is_ok_and(|status| status.success()), "pg_ctl promote failed");
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        // One that is gone needs nothing.
        let quit = format!("kill -QUIT {0}", self.server.id());
        drop(Command::new("sh").args(["-c", &quit]).stderr(Stdio::null()).status());
        drop(self.server.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn start(bin_dir: &std::path::Path, directory: &std::path::Path, account: (u32, u32), port: u16) -> Child {
    let log = std::fs::File::create(directory.join("log")).expect("our own directory");
    let mut server = Command::new(bin_dir.join("postgres"));
    server
        .arg("-D")
        .arg(directory.join("data"))
        .args(["-p", &port.to_string()]);
    server
        .args(["-c", "unix_socket_directories="])
        .current_dir("/")
        .uid(account.0)
        .gid(account.1);
    let errors = log.try_clone().expect("a file");
    let server = server
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .expect("postgres starts");
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            Instant::now() < deadline,
            "the standby does not start:\n{}",
            std::fs::read_to_string(directory.join("log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}
