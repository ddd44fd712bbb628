//! The real binary as a process of its own, to be killed, paused and started again on the same ports; and signals for
//! any process that a test started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `pgflight serve`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    grpc: SocketAddr,
    environment: Vec<(String, String)>,
    settings: Vec<(String, String)>,
    /// As `ulimit` takes it.
    limit: Option<String>,
    log: PathBuf,
}

/// Signals that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Kill,
    Stop,
    Continue,
    Terminate,
    Interrupt,
    Hangup,
}

impl Process {
    /// Starts a server and waits until it listens. `settings` are keys of the configuration, as `--set` takes them.
    pub(crate) async fn start(connection_string: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_within(connection_string, settings, None).await
    }

    /// The same with a limit of open files (`ulimit -n`).
    pub(crate) async fn start_within(
        connection_string: &str,
        settings: &[(&str, &str)],
        open_files: Option<u32>,
    ) -> Self {
        let limit = open_files.map(|files| format!("-n {files}"));
        Self::start_limited(connection_string, settings, limit).await
    }

    /// The same with so many bytes of address space, beyond which it gets no memory.
    pub(crate) async fn start_in_space(connection_string: &str, settings: &[(&str, &str)], bytes: u64) -> Self {
        Self::start_limited(connection_string, settings, Some(format!("-v {}", bytes / 1024))).await
    }

    async fn start_limited(connection_string: &str, settings: &[(&str, &str)], limit: Option<String>) -> Self {
        let with_string = [&[("connection_string", connection_string)][..], settings].concat();
        Self::start_as(&[], &with_string, limit).await
    }

    /// The same with variables of the environment and no connection string.
    pub(crate) async fn start_in(environment: &[(&str, &str)]) -> Self {
        Self::start_as(environment, &[], None).await
    }

    async fn start_as(environment: &[(&str, &str)], settings: &[(&str, &str)], limit: Option<String>) -> Self {
        let grpc = free_address();
        let log = std::env::temp_dir().join(format!("pgflight-test-{}-{}.log", std::process::id(), grpc.port()));
        let mut all = vec![
            ("listen".to_owned(), grpc.to_string()),
            ("admin_listen".to_owned(), "off".to_owned()),
        ];
        for (key, value) in settings {
            all.retain(|(known, _)| known != key);
            all.push(((*key).to_owned(), (*value).to_owned()));
        }
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<(String, String)> = environment.iter().map(owned).collect();
        let mut process = Self {
            child: spawn(&environment, &all, limit.as_deref(), &log),
            environment,
            grpc,
            settings: all,
            limit,
            log,
        };
        process.wait_until_it_listens().await;
        process
    }

    /// Starts the same server again, after it was killed or has ended.
    pub(crate) async fn start_again(&mut self) {
        assert!(
            self.child.try_wait().expect("our child").is_some(),
            "the process still runs"
        );
        self.child = spawn(&self.environment, &self.settings, self.limit.as_deref(), &self.log);
        self.wait_until_it_listens().await;
    }

    async fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(self.grpc).await.is_err() {
            let ended = self.child.try_wait().expect("our child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "pgflight serve does not listen ({ended:?}):\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(signal, self.child.id());
    }

    /// SIGKILL, and gone when this returns.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Waits until it ends by itself; `None` when it does not in that time.
    pub(crate) async fn exit_code(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return Some(status.code().unwrap_or(-1));
            }
            if Instant::now() > deadline {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Address of the gRPC port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.grpc
    }

    /// A9: the most resident memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux, and it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with(what))
            .expect("the kernel counts it");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a number");
        kib * 1024
    }

    /// Waits until it logged this.
    pub(crate) async fn logs(&self, words: &str) {
        for _ in 0..6_000 {
            if self.log().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{words:?} was not logged within 120 s:\n{}", self.log());
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_file(&self.log));
    }
}

fn spawn(environment: &[(String, String)], settings: &[(String, String)], limit: Option<&str>, log: &PathBuf) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .expect("a directory for temporary files");
    const PROGRAM: &str = env!("CARGO_BIN_EXE_pgflight");
    let mut command = match limit {
        None => Command::new(PROGRAM),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\""), PROGRAM]);
            shell
        }
    };
    command.arg("serve");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    for (key, value) in settings {
        command.arg("--set").arg(format!("{key}={value}"));
    }
    command
        .stdin(Stdio::null())
        // Where JSON lines go.
        .stdout(log.try_clone().expect("an open file"))
        .stderr(log)
        .spawn()
        .expect("the binary was built with the tests")
}

/// An address that was free a moment ago, below the range that the kernel gives to outgoing connections.
pub(crate) fn free_address() -> SocketAddr {
    for _ in 0..200 {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(11_000..15_000)));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port on 127.0.0.1 between 11000 and 15000");
}

/// Sends a signal to a process that this test started.
pub(crate) fn send(signal: Signal, pid: u32) {
    assert!(try_send(signal, pid), "cannot send {signal:?} to {pid}");
}

/// Sends a signal to a process that may have ended by itself; says whether it was there.
pub(crate) fn try_send(signal: Signal, pid: u32) -> bool {
    let name = match signal {
        Signal::Kill => "KILL",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
        Signal::Terminate => "TERM",
        Signal::Interrupt => "INT",
        Signal::Hangup => "HUP",
    };
    let sent = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    sent.expect("kill(1)").success()
}

/// Whether a process is there and not only waits for its parent.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
