//! `pgflight demo` as a process: what it prints, that it can be run again, and that Ctrl-C at any moment leaves nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::process::{self, Signal};

/// One run in a directory for temporary files of its own, where everything that it leaves behind would be found.
struct Demo {
    child: Child,
    directory: PathBuf,
}

impl Demo {
    fn start(name: &str, arguments: &[&str]) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = std::env::temp_dir().join(format!("pgf-{}-{name}", std::process::id()));
        std::fs::create_dir(&directory).expect("a fresh directory");
        // PostgreSQL runs as another user when this is root.
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o1777)).expect("our directory");
        let child = Command::new(env!("CARGO_BIN_EXE_pgflight"))
            .args(["demo", "--scale-factor", "0.005"])
            .args(arguments)
            .env("TMPDIR", &directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built with the tests");
        Self { child, directory }
    }

    /// What a terminal sends on Ctrl-C.
    fn interrupt(&self) {
        process::send(Signal::Interrupt, self.child.id());
    }

    /// Waits for the end; then nothing that it started may be alive and nothing that it wrote may be there.
    fn end(mut self) -> (ExitStatus, String, String) {
        let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || std::io::read_to_string(stream.expect("piped")).expect("text"))
        };
        let printed = read(self.child.stdout.take().map(|out| Box::new(out) as _));
        let told = read(self.child.stderr.take().map(|err| Box::new(err) as _));
        let status = self.child.wait().expect("our child");
        let (printed, told) = (printed.join().expect("read"), told.join().expect("read"));
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (alive, left) = (living_in(&self.directory), entries(&self.directory));
            if alive.is_empty() && left.is_empty() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "left behind: processes {alive:?}, files {left:?}\n{printed}\n{told}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        std::fs::remove_dir(&self.directory).expect("it is empty");
        (status, printed, told)
    }
}

/// Processes that work in the directory or were started with a path in it.
fn living_in(directory: &Path) -> Vec<String> {
    let text = directory.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    let found = processes.filter_map(|process| {
        let arguments = std::fs::read(process.path().join("cmdline")).ok()?;
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let works_in = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        (arguments.contains(&text) || works_in.starts_with(directory)).then_some(arguments)
    });
    found.collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("our directory").flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn the_demo_counts_what_it_loaded_and_a_second_run_is_as_good() {
    for run in ["first", "second"] {
        let (status, printed, told) = Demo::start(run, &[]).end();
        assert!(status.success(), "{run}: {printed}\n{told}");
        // TPC-H fixes these rows; those of lineitem are drawn.
        for (table, rows) in [("customer", "750"), ("orders", "7,500"), ("lineitem", "")] {
            let of_table = |line: &&str| line.split_whitespace().next() == Some(table);
            let line = printed
                .lines()
                .find(of_table)
                .unwrap_or_else(|| panic!("{run}: no {table} in {printed}"));
            assert!(
                rows.is_empty() || line.split_whitespace().nth(1) == Some(rows),
                "{run}: {line}"
            );
        }
        for expected in ["rows/s", "revenue", "psql"] {
            assert!(printed.contains(expected), "{run}: {expected} in {printed}");
        }
    }
}

#[test]
fn ctrl_c_at_any_moment_of_the_demo_leaves_no_process_and_no_file() {
    for milliseconds in [30, 300, 900, 1500, 2500, 4000, 6000] {
        let name = milliseconds.to_string();
        let demo = Demo::start(&name, &["--keep"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        demo.interrupt();
        let (status, printed, told) = demo.end();
        // While it waits for Ctrl-C with --keep all went well; before, it was interrupted; within the first
        // milliseconds of a process nobody listens to signals yet.
        use std::os::unix::process::ExitStatusExt;
        let fine = matches!(status.code(), Some(0 | 130)) || status.signal() == Some(2);
        assert!(fine, "after {milliseconds} ms: {status:?}\n{printed}\n{told}");
    }
}
