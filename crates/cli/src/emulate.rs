//! `sidetone emulate`.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use sidetone_simulator::emulator::{AgentScript, Emulator, Fault, Options, TwilioAccount};
use url::Url;

use crate::args::Emulate;
use crate::config::{Log, LogFormat};
use crate::{faults, logging, signals};

/// Runs the emulated Deepgram and Twilio until a signal.
pub(crate) async fn run(args: Emulate) -> anyhow::Result<ExitCode> {
    if args.list_faults {
        let table = faults::table(Fault::LIST);
        anstream::print!("{table}\n{}", faults::ABOUT_DEEPGRAMS);
        return Ok(ExitCode::SUCCESS);
    }
    let shutdown = signals::follow().context("cannot follow signals")?;
    let log = Log {
        filter: std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()),
        format: LogFormat::Text,
    };
    let ansi = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    logging::start(&log, ansi, std::io::stderr)?;

    let agent = args.agent_script.as_deref().map(agent_script).transpose()?;
    let mut twilio = TwilioAccount::default();
    twilio.numbers.extend(args.numbers);
    let seed = args.seed.unwrap_or_else(any_seed);
    let options = Options {
        listen: Some(args.listen),
        api_key: args.api_key.clone(),
        faults: args.faults,
        seed,
        agent: agent.unwrap_or_default(),
        twilio: twilio.clone(),
        ..Options::default()
    };
    let emulator = Emulator::start(options)
        .await
        .map_err(|error| cannot_listen(args.listen, &error))?;
    let requests = emulator.http_url();
    let environment = environment(&emulator.url(), &requests, args.api_key.as_ref(), &twilio);
    // In one piece, so that a reader of the first line leaves nothing half said.
    std::io::stdout()
        .write_all(environment.as_bytes())
        .context("cannot print the environment")?;
    anstream::eprintln!(
        "Emulated Deepgram and Twilio, seed {seed}. With the lines above in the environment, or in \
         .env:\n  sidetone serve\n  sidetone call http://127.0.0.1:5000/voice --say 'hello'\n\
         Faults are listed, set and cleared by GET, POST and DELETE {requests}_emulator/faults\n\
         What voice agents saw is told by GET {requests}_emulator/agent; POST sets their script\n\
         Calls are told by GET {requests}_emulator/calls; who answers at which number, by GET, POST \
         and DELETE {requests}_emulator/callees"
    );
    shutdown.drain.cancelled().await;
    emulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// What the agents are to say and do.
fn agent_script(path: &Path) -> anyhow::Result<AgentScript> {
    let script = std::fs::read(path);
    let script = script.with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&script)
        .with_context(|| format!("{} is no script for an agent", path.display()))
}

/// What points a gateway and a phone here, a line for each variable.
fn environment(
    streams: &Url,
    requests: &Url,
    api_key: Option<&SecretString>,
    twilio: &TwilioAccount,
) -> String {
    let base = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let api_key = api_key.map_or("emulated", |key| key.expose_secret());
    [
        ("DEEPGRAM_URL", base(streams).as_str()),
        ("DEEPGRAM_AGENT_URL", &base(streams)),
        ("DEEPGRAM_API_KEY", api_key),
        ("TWILIO_API_URL", &base(requests)),
        ("TWILIO_ACCOUNT_SID", twilio.sid.as_str()),
        ("TWILIO_AUTH_TOKEN", twilio.auth_token.expose_secret()),
    ]
    .map(|(name, value)| format!("{name}={value}\n"))
    .concat()
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => {
            "; perhaps it runs already. Choose another port with --listen, or any free one with \
             --listen 127.0.0.1:0"
        }
        _ => "",
    };
    anyhow::anyhow!("cannot listen on {address}: {error}{hint}")
}

/// A seed that can be typed.
fn any_seed() -> u64 {
    RandomState::new().hash_one(0) % 1_000_000
}
