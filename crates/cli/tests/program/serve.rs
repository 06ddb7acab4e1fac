//! A running `sidetone serve`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// Every wait of a test ends within this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something that must come.
#[track_caller]
pub(crate) fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let what = format!("{what} ({})", std::panic::Location::caller());
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("waited {PATIENCE:?} for {what}"),
        }
    }
}

/// Takes as many open files as the system allows, for a test with thousands of sockets.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    // The gateway, too, which gives every second of its files to those who come.
    let enough = limit.maximum.is_none_or(|maximum| maximum >= 12_000);
    assert!(enough, "this test needs 12,000 open files: see ulimit -Hn");
}

/// What `serve` is started with.
pub(crate) struct Builder {
    environment: BTreeMap<String, String>,
    args: Vec<String>,
    toml: String,
    files: Vec<(String, String)>,
}

/// A `serve` whose environment is empty but for a Deepgram key and a free loopback port.
pub(crate) fn serve() -> Builder {
    // The tests' own HTTP client needs one; the first test of the process installs it.
    let _installed_before = rustls::crypto::ring::default_provider()
        .install_default()
        .is_err();
    let environment = [
        ("DEEPGRAM_API_KEY", "test-key"),
        ("DEEPGRAM_URL", "ws://127.0.0.1:9"),
        ("DEEPGRAM_AGENT_URL", "ws://127.0.0.1:9"),
        ("SIDETONE_LISTEN", "127.0.0.1:0"),
        ("PATH", "/usr/bin:/bin"),
    ];
    let environment = environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Builder {
        environment,
        args: Vec::new(),
        toml: String::new(),
        files: Vec::new(),
    }
}

impl Builder {
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// A Deepgram that hears, speaks and talks.
    pub(crate) fn deepgram(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.env("DEEPGRAM_URL", &url)
            .env("DEEPGRAM_AGENT_URL", url)
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub(crate) fn toml(mut self, toml: &str) -> Self {
        self.toml.push_str(toml);
        self
    }

    /// Puts a file into its folder.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    fn spawn(&self, folder: &std::path::Path) -> Child {
        for (name, text) in &self.files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        if !self.toml.is_empty() {
            std::fs::write(folder.join("sidetone.toml"), &self.toml).unwrap();
        }
        Command::new(env!("CARGO_BIN_EXE_sidetone"))
            .arg("serve")
            .args(&self.args)
            .env_clear()
            .envs(&self.environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Starts it and waits until it listens.
    pub(crate) async fn start(self) -> Serve {
        let folder = tempfile::tempdir().unwrap();
        let mut child = self.spawn(folder.path());
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        let line = stderr.wait_for("Listening on http").await;
        // In a log of JSON more follows.
        let address = line.rsplit("://").next().unwrap();
        let address = address.split('"').next().unwrap().parse().unwrap();
        Serve {
            child,
            address,
            stdout,
            stderr,
            _folder: folder,
        }
    }

    /// Starts it and waits for its end: exit code, stdout, stderr.
    pub(crate) async fn run(self) -> (Option<i32>, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let output = soon("serve to end", self.spawn(folder.path()).wait_with_output())
            .await
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

/// A `serve` that listens. Killed when dropped.
pub(crate) struct Serve {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
    _folder: tempfile::TempDir,
}

impl Serve {
    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.pid().to_string();
        let status = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Its exit code, once it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        soon("serve to end", self.child.wait())
            .await
            .unwrap()
            .code()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The lines of an output, as they come.
#[derive(Clone)]
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
}

impl Lines {
    pub(crate) fn of(output: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let kept = Arc::clone(&lines);
        // Ends with the process whose output it reads.
        tokio::spawn(async move {
            let mut output = BufReader::new(output).lines();
            while let Ok(Some(line)) = output.next_line().await {
                let mut lines = kept.lock().unwrap();
                lines.push(line);
                counted.send_replace(lines.len());
            }
        });
        Self { lines, count }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The first line that holds `text`, once it is there.
    pub(crate) async fn wait_for(&self, text: &str) -> String {
        let mut count = self.count.clone();
        let found = async {
            loop {
                count.borrow_and_update();
                if let Some(line) = self.all().into_iter().find(|line| line.contains(text)) {
                    return line;
                }
                if count.changed().await.is_err() {
                    panic!("ended without `{text}`:\n{}", self.all().join("\n"));
                }
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => panic!("no line with `{text}` came:\n{}", self.all().join("\n")),
        }
    }
}
