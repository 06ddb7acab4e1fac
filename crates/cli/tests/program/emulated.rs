//! `sidetone emulate`, and the environment that it prints.

use crate::command::{Command, Running, sidetone};
use crate::serve::Builder;

/// The number that the emulated Twilio has.
pub(crate) const NUMBER: &str = "+15005550006";

/// A running `emulate`.
pub(crate) struct Emulated {
    _running: Running,
    environment: Vec<(String, String)>,
}

impl Emulated {
    /// Starts it on a free port, with further arguments.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let on_free_port = ["emulate", "--listen", "127.0.0.1:0"];
        let running = sidetone(on_free_port.iter().chain(args).copied()).start();
        running.stdout.wait_for("TWILIO_AUTH_TOKEN=").await;
        let lines = running.stdout.all();
        let environment = lines
            .iter()
            .map(|line| line.split_once('=').expect("NAME=VALUE and nothing else"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            _running: running,
            environment,
        }
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        let found = self.environment.iter().find(|(known, _)| known == name);
        &found.expect("it is printed").1
    }

    /// A command in its environment.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let within = |command: Command, (name, value): &(String, String)| command.env(name, value);
        self.environment.iter().fold(sidetone(args), within)
    }

    /// A gateway in its environment.
    pub(crate) fn serve(&self) -> Builder {
        let within = |serve: Builder, (name, value): &(String, String)| serve.env(name, value);
        self.environment.iter().fold(crate::serve::serve(), within)
    }
}
