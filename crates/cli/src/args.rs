//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use url::Url;

/// Live calls, both sides, transcribed to everyone who listens.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway
    #[command(after_help = "\
Examples:
  sidetone serve
  sidetone serve --set server.listen=127.0.0.1:5001 --interim
  sidetone serve --config /etc/sidetone.toml --profile helpdesk
  sidetone serve --print-config")]
    Serve(Serve),
    /// Watch a simulated call being transcribed: no account, no network, no configuration
    #[command(after_help = "\
Examples:
  sidetone demo
  sidetone demo --calls 50
  sidetone demo --drop
  sidetone demo --keep")]
    Demo(Demo),
    /// Make a simulated phone call
    #[command(after_help = "\
Examples:
  sidetone call http://127.0.0.1:5000/voice --say 'hello, is anybody there?'
  sidetone call http://127.0.0.1:5000/voice --say 'my order is late' --callee 'let me see'
  sidetone call ws://127.0.0.1:5000/twilio --say 'one two three'")]
    Call(Call),
    /// Run an emulated Deepgram, and print the environment that points a gateway at it
    #[command(after_help = "\
Examples:
  sidetone emulate
  sidetone emulate --listen 127.0.0.1:7000")]
    Emulate(Emulate),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file [default: sidetone.toml, when it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set any key of the configuration
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// The profile of calls that name none
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Start in public although no Twilio auth token is set: anybody may send calls
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Show interims, too, when the output is not a terminal
    #[arg(long)]
    pub(crate) interim: bool,
    /// Show every setting with its origin, and exit
    #[arg(long)]
    pub(crate) print_config: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many calls at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub(crate) calls: u16,
    /// Cut the Deepgram connection in the middle of each call
    #[arg(long)]
    pub(crate) drop: bool,
    /// Stay up afterwards, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// A voice webhook (http, https) or a media stream (ws, wss)
    #[arg(value_parser = target)]
    pub(crate) url: Url,
    /// What the caller says; repeat for more
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Vec<String>,
    /// What the person answers whom <Dial> calls; repeat for more
    #[arg(long, value_name = "TEXT")]
    pub(crate) callee: Vec<String>,
    /// The caller's number
    #[arg(long, value_name = "NUMBER", default_value = "+14155550123")]
    pub(crate) from: String,
    /// The called number
    #[arg(long, value_name = "NUMBER", default_value = "+15005550006")]
    pub(crate) to: String,
    /// Keys to press on a bidirectional stream
    #[arg(long, value_name = "DIGITS", default_value = "")]
    pub(crate) dtmf: String,
}

#[derive(Debug, Args)]
pub(crate) struct Emulate {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7000")]
    pub(crate) listen: SocketAddr,
}

fn target(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" | "ws" | "wss" => Ok(url),
        _ => Err("expected a URL of http, https, ws or wss".to_owned()),
    }
}
