//! Chromium without a window: the one of this machine, or Debian's packages, brought once by `scripts/debian-packages`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Virtual time that a page gets: its clock runs while nothing is being fetched.
const PAGE_MILLIS: &str = "5000";

#[derive(Debug)]
struct Browser {
    program: PathBuf,
    libraries: String,
}

fn browser() -> &'static Browser {
    static FOUND: OnceLock<Browser> = OnceLock::new();
    FOUND.get_or_init(|| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let ours = std::env::split_paths(&paths).map(|directory| directory.join("chromium"));
        if let Some(program) = ours.into_iter().find(|program| program.exists()) {
            return Browser {
                program,
                libraries: String::new(),
            };
        }
        let bringing = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/debian-packages"))
            .args(["bring", "chromium", "chromium", "fonts-dejavu-core"])
            .stderr(Stdio::inherit())
            .output()
            .expect("scripts/debian-packages starts");
        assert!(bringing.status.success(), "Chromium cannot be had");
        let root = PathBuf::from(String::from_utf8(bringing.stdout).expect("a path").trim());
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        Browser {
            program: root.join("usr/lib/chromium/chromium"),
            libraries: format!("{0}:{0}/pulseaudio", libraries.display()),
        }
    })
}

/// The document of a page after a few seconds of its own time. `screenshot` is where its picture goes.
pub(crate) fn document(url: &str, screenshot: Option<&Path>) -> String {
    let browser = browser();
    let profile = tempfile();
    let mut command = Command::new(&browser.program);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--virtual-time-budget={PAGE_MILLIS}"))
        .env("HOME", &profile);
    if !browser.libraries.is_empty() {
        command.env("LD_LIBRARY_PATH", &browser.libraries);
    }
    match screenshot {
        None => command.arg("--dump-dom"),
        Some(path) => command
            .arg("--window-size=1200,900")
            .arg(format!("--screenshot={}", path.display())),
    };
    let output = command.arg(url).output().expect("Chromium starts");
    drop(std::fs::remove_dir_all(&profile));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a document")
}

fn tempfile() -> PathBuf {
    let path = std::env::temp_dir().join(format!("pgflight-test-{}-{:x}", std::process::id(), fastrand::u64(..)));
    std::fs::create_dir(&path).expect("a directory for the browser");
    path
}

/// What a person reads in the document: its text, one line for each cell and paragraph.
pub(crate) fn text(document: &str) -> String {
    let body = document.split("<script>").next().unwrap_or(document);
    let body = body.split("</style>").last().unwrap_or(body);
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => {
                inside = true;
                text.push('\n');
            }
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
}
