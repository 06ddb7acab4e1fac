//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;
use sidetone_simulator::{emulator, phone};
use url::Url;

use crate::{config, demo};

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
  sidetone serve --agent prompt.txt
  sidetone serve --print-config")]
    Serve(Serve),
    /// Watch a simulated call being transcribed: no account, no network, no configuration
    #[command(after_help = "\
Examples:
  sidetone demo
  sidetone demo --calls 50
  sidetone demo --drop
  sidetone demo --agent
  sidetone demo --speak
  sidetone demo --short --fault silent-gap:ms=3000
  sidetone demo --faults
  sidetone demo --keep")]
    Demo(Demo),
    /// Make a simulated phone call
    #[command(after_help = "\
Examples:
  sidetone call http://127.0.0.1:5000/voice --say 'hello, is anybody there?'
  sidetone call http://127.0.0.1:5000/voice --say 'my order is late' --callee 'let me see'
  sidetone call ws://127.0.0.1:5000/twilio --say 'one two three' --param profile=default
  sidetone call http://127.0.0.1:5000/voice --audio call.wav --calls 20 --json
  sidetone call http://127.0.0.1:5000/voice --say 'one two three' --fault silent-gap:ms=3000
  sidetone call http://127.0.0.1:5000/voice/agent --say 'good morning' --interrupt '5: one moment'
  sidetone call http://127.0.0.1:5000/voice/agent --interrupt 'help you today: where is my order'
  sidetone call --faults

Signs its requests when TWILIO_AUTH_TOKEN is set. The exit code is 1 when a call could not be made,
was broken off by its server, or its caller did not hear what --expect says.")]
    Call(Box<Call>),
    /// Run an emulated Deepgram and Twilio, and print the environment that points a gateway at it
    #[command(after_help = "\
Examples:
  sidetone emulate
  sidetone emulate --listen 127.0.0.1:0 --seed 7
  sidetone emulate --fault drop:after_ms=8000 --fault word-times
  sidetone emulate --faults

While it runs, faults are listed, set and cleared by GET, POST and DELETE /_emulator/faults:
  curl http://127.0.0.1:7000/_emulator/faults -d '{\"faults\": [\"drop\"], \"now\": true}'")]
    Emulate(Emulate),
    /// Find out what keeps calls from arriving, being heard and being kept
    #[command(after_help = "\
Examples:
  sidetone check
  sidetone check --number +15005550006
  sidetone check --config /etc/sidetone.toml --json

Each line begins with ok, warn, FAIL or skip; what to do stands behind the arrow. The exit code is
1 if any failed.")]
    Check(Check),
    /// Point a Twilio number's calls at this gateway
    #[command(after_help = "\
Examples:
  sidetone number +15005550006
  sidetone number +15005550006 --profile helpdesk

Needs TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and SIDETONE_PUBLIC_URL.")]
    Number(Number),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// The profile of calls that name none
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Let a voice agent answer the calls that name no profile, told by this text what it is to do
    #[arg(long, value_name = "prompt.txt")]
    pub(crate) agent: Option<PathBuf>,
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

/// Where the configuration comes from, beside the environment and `.env`.
#[derive(Debug, Default, Args)]
pub(crate) struct Layers {
    /// Configuration file [default: sidetone.toml, when it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set any key of the configuration
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How many calls at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub(crate) calls: u16,
    /// Show a conversation with a voice agent: it is interrupted, looks something up, says goodbye
    #[arg(long, conflicts_with_all = ["speak", "calls", "drop", "short"])]
    pub(crate) agent: bool,
    /// Show a call that is spoken into: greeted, told something, and silenced half-way
    #[arg(long, conflicts_with_all = ["calls", "drop", "short"])]
    pub(crate) speak: bool,
    /// Cut the Deepgram connection in the middle of each call
    #[arg(long)]
    pub(crate) drop: bool,
    /// Let something else go wrong, with the phones or with Deepgram (see --faults); repeat for
    /// more
    #[arg(long = "fault", value_name = "NAME[:PARAM=VALUE,...]")]
    pub(crate) faults: Vec<demo::Fault>,
    /// List the faults, and exit
    #[arg(long = "faults", exclusive = true)]
    pub(crate) list_faults: bool,
    /// Only the beginning of each conversation
    #[arg(long)]
    pub(crate) short: bool,
    /// Make other calls: their identifiers, timing and faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
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
    #[arg(value_parser = target, required_unless_present = "list_faults")]
    pub(crate) url: Option<Url>,
    /// What the caller says; repeat for more. On a bidirectional stream the caller lets the other
    /// side finish first
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Vec<String>,
    /// What the caller says over the other side of a bidirectional stream, after a number of words
    /// heard or after a phrase; repeat for more, in order
    #[arg(long = "interrupt", value_name = "AFTER: TEXT")]
    pub(crate) interjections: Vec<phone::Interjection>,
    /// What the person answers whom <Dial> calls; repeat for more
    #[arg(long, value_name = "TEXT")]
    pub(crate) callee: Vec<String>,
    /// A recording the caller plays after what is said; of a stereo one the left channel is the
    /// caller and the right one the callee; repeat for more
    #[arg(long, value_name = "FILE.wav")]
    pub(crate) audio: Vec<PathBuf>,
    /// Keys to press on a bidirectional stream; w waits for half a second
    #[arg(
        long,
        value_name = "DIGITS",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) dtmf: String,
    /// How many calls at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub(crate) calls: u16,
    /// Fail unless the caller hears these words; case and punctuation do not count
    #[arg(long, value_name = "TEXT")]
    pub(crate) expect: Option<String>,
    /// Print what became of each call as JSON, a line each
    #[arg(long)]
    pub(crate) json: bool,
    /// Do something wrong on purpose, as real calls do now and then (see --faults); repeat for
    /// more
    #[arg(long = "fault", value_name = "NAME[:PARAM=VALUE,...]")]
    pub(crate) faults: Vec<phone::Fault>,
    /// List the faults, and exit
    #[arg(long = "faults", exclusive = true)]
    list_faults: bool,
    /// Make the same call again: identifiers, timing and faults [default: another one each time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The caller's number
    #[arg(long, value_name = "NUMBER", default_value = "+14155550123")]
    pub(crate) from: String,
    /// The called number
    #[arg(long, value_name = "NUMBER", default_value = "+15005550006")]
    pub(crate) to: String,
    /// Who is told that the call is over, as a number's status callback is
    #[arg(long, value_name = "URL", value_parser = web_address)]
    pub(crate) status_callback: Option<Url>,
    /// A custom parameter of a ws target; repeat for more
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) parameters: Vec<(String, String)>,
    /// The tracks of a ws target [default: inbound_track; with a callee both_tracks]
    #[arg(long)]
    pub(crate) track: Option<CallTrack>,
    #[command(flatten)]
    pub(crate) layers: Layers,
}

/// Tracks by the names that TwiML has for them.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum CallTrack {
    InboundTrack,
    OutboundTrack,
    BothTracks,
}

#[derive(Debug, Args)]
pub(crate) struct Emulate {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7000")]
    pub(crate) listen: SocketAddr,
    /// Let something go wrong (see --faults); repeat for more
    #[arg(long = "fault", value_name = "NAME[:PARAM=VALUE,...]")]
    pub(crate) faults: Vec<emulator::Fault>,
    /// List the faults, and exit
    #[arg(long = "faults", exclusive = true)]
    pub(crate) list_faults: bool,
    /// What the voice agents say and do before what each one knows: rules as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) agent_script: Option<PathBuf>,
    /// Vary in the same way again [default: in another way each time]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The only Deepgram key that is taken [default: any]
    #[arg(long, value_name = "KEY", value_parser = api_key)]
    pub(crate) api_key: Option<SecretString>,
    /// A number that Twilio's account has besides +15005550006; repeat for more
    #[arg(long = "number", value_name = "NUMBER", value_parser = phone_number)]
    pub(crate) numbers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// A Twilio number whose webhook is to lead here, instead of those in [numbers]; repeat for
    /// more
    #[arg(long = "number", value_name = "NUMBER", value_parser = phone_number)]
    pub(crate) numbers: Vec<String>,
    /// The profile of calls that name none, as in `serve --profile`
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Look as well whether the voice agent of `serve --agent` would come to a call
    #[arg(long, value_name = "prompt.txt")]
    pub(crate) agent: Option<PathBuf>,
    /// Expect no Twilio auth token, as in `serve --insecure`
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Print what was found as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Number {
    /// The number, as in +15005550006
    #[arg(value_parser = phone_number)]
    pub(crate) number: String,
    /// The profile of its calls [default: what [numbers] says, else the default one]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    #[command(flatten)]
    pub(crate) layers: Layers,
    /// Print what was and what is as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn phone_number(text: &str) -> Result<String, String> {
    config::phone_number(text).map_err(|expected| format!("expected {expected}"))
}

fn web_address(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("expected a URL of http or https".to_owned()),
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn api_key(text: &str) -> Result<SecretString, String> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_token
        .then(|| text.into())
        .ok_or_else(|| "expected letters, digits and signs without spaces".to_owned())
}

fn target(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    match url.scheme() {
        "http" | "https" | "ws" | "wss" => Ok(url),
        _ => Err("expected a URL of http, https, ws or wss".to_owned()),
    }
}
