//! `sidetone` with any arguments, run to its end.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Child;

use crate::serve::{Lines, soon};

/// A conversation of the demonstration takes most of a minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// A command line that is being put together. Its environment is empty, its folder is its own.
pub(crate) struct Command {
    args: Vec<String>,
    environment: BTreeMap<String, String>,
    folder: tempfile::TempDir,
}

/// `sidetone ARGS`.
pub(crate) fn sidetone<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    Command {
        args: args.into_iter().map(str::to_owned).collect(),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        folder: tempfile::tempdir().unwrap(),
    }
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Command {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Puts a file into its folder.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn spawn(&self) -> Child {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_sidetone"))
            .args(&self.args)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Outcome {
        let ending = self.spawn().wait_with_output();
        let output = match tokio::time::timeout(PATIENCE, ending).await {
            Ok(output) => output.unwrap(),
            Err(_) => panic!("{:?} did not end within {PATIENCE:?}", self.args),
        };
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts it for as long as the value lives.
    pub(crate) fn start(self) -> Running {
        let mut child = self.spawn();
        let stdout = Lines::of(child.stdout.take().unwrap());
        self.running(child, stdout)
    }

    /// Starts it with a stdout that nobody reads any more.
    pub(crate) fn start_with_stdout_closed(self) -> Running {
        let mut child = self.spawn();
        drop(child.stdout.take());
        self.running(child, Lines::of(tokio::io::empty()))
    }

    fn running(self, mut child: Child, stdout: Lines) -> Running {
        let stderr = Lines::of(child.stderr.take().unwrap());
        Running {
            child,
            _command: self,
            stdout,
            stderr,
        }
    }

    /// Starts it on a terminal of its own, whose output it gives line by line.
    pub(crate) fn start_on_terminal(self) -> Running {
        let quoted: Vec<String> = [env!("CARGO_BIN_EXE_sidetone")]
            .into_iter()
            .chain(self.args.iter().map(String::as_str))
            .map(|arg| format!("'{arg}'"))
            .collect();
        let command = format!("stty cols 100 rows 40; exec {}", quoted.join(" "));
        let mut child = tokio::process::Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env_clear()
            .envs(&self.environment)
            .env("SHELL", "/bin/sh")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("script, of Debian's util-linux or bsdutils, is there");
        let stdout = Lines::of(child.stdout.take().unwrap());
        self.running(child, stdout)
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    _command: Command,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Running {
    /// Sends SIGTERM, and gives the exit code once it has ended.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().expect("it runs");
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        soon("the end of the command", self.child.wait())
            .await
            .unwrap()
            .code()
    }
}
