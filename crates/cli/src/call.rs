//! `sidetone call`.

mod outcome;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use sidetone_audio::wav;
use sidetone_gateway::config::Twilio;
use sidetone_simulator::phone::{
    self, Exchange, Fault, HandshakeError, Options, Party, PhoneError, Trunk, Turn, WebhookError,
};
use sidetone_twilio::stream::MediaTrack;
use tokio::task::JoinSet;
use url::Url;

use crate::args::{Call, CallTrack, Cli};
use crate::{config, faults, open_files};
use outcome::Outcome;

/// Silence between what one says and what the other answers.
const PAUSE: Duration = Duration::from_millis(600);

/// Between the starts of two calls, so that a crowd does not ring in the same millisecond.
const STAGGER: Duration = Duration::from_millis(20);

/// Makes simulated calls and tells what became of them.
pub(crate) async fn run(mut args: Box<Call>) -> anyhow::Result<ExitCode> {
    let Some(target) = args.url.take() else {
        // The only other thing there is to ask for.
        anstream::print!("{}", faults::table(Fault::LIST));
        return Ok(ExitCode::SUCCESS);
    };
    let layers = std::mem::take(&mut args.layers);
    let twilio = config::twilio(&layers.inputs()?)?;
    let api_url = twilio.api_url.clone();
    let options = options(&args, target, twilio)?;
    if !options.faults.is_empty() {
        let seed = options.seed;
        anstream::eprintln!("--seed {seed} makes the same call again");
    }
    open_files::raise();
    let trunk = trunk(&options.exchange, &api_url).await;

    let mut phones = JoinSet::new();
    for index in 0..args.calls {
        let mut options = options.clone();
        options.seed = options.seed.wrapping_add(index.into());
        phones.spawn(async move {
            tokio::time::sleep(STAGGER * u32::from(index)).await;
            phone::call(options).await
        });
    }
    let mut summary = Summary::default();
    while let Some(made) = phones.join_next().await {
        match made.context("a simulated phone")? {
            Ok(report) => {
                let outcome = Outcome::of(report, args.expect.as_deref());
                outcome.tell(args.json, args.calls == 1)?;
                summary.add(&outcome);
            }
            Err(error) if args.calls == 1 => return Err(with_remedy(error)),
            Err(error) => {
                anstream::eprintln!("sidetone: {:#}", with_remedy(error));
                summary.failed += 1;
            }
        }
    }
    if let Some(trunk) = trunk {
        trunk.close().await;
    }
    if args.calls > 1 {
        summary.tell(args.calls, args.json);
    }
    Ok(match summary.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Makes the calls known to an emulated Twilio, where that is the one in use: a gateway can end
/// them and lead them elsewhere then. Twilio itself knows nothing of simulated calls.
async fn trunk(exchange: &Exchange, api_url: &Url) -> Option<Trunk> {
    let host = api_url.host_str().unwrap_or_default();
    if host.ends_with("twilio.com") {
        return None;
    }
    let joined = exchange.join(api_url).await;
    let joined = joined.inspect_err(|error| {
        anstream::eprintln!("{error}: nobody can end the call over Twilio's REST API");
    });
    joined.ok()
}

/// What became of several calls.
#[derive(Debug, Default)]
struct Summary {
    spoken: usize,
    heard: usize,
    failed: usize,
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.spoken += outcome.report.spoken.len();
        self.heard += outcome.report.heard.len();
        self.failed += usize::from(outcome.has_failed());
    }

    fn tell(&self, calls: u16, json: bool) {
        let Self {
            spoken,
            heard,
            failed,
        } = self;
        let told = format!("{calls} calls: {spoken} words said, {heard} heard, {failed} failed");
        if json {
            anstream::eprintln!("{told}");
        } else {
            anstream::println!("{told}");
        }
    }
}

fn options(args: &Call, target: Url, twilio: Twilio) -> anyhow::Result<Options> {
    let is_stream = matches!(target.scheme(), "ws" | "wss");
    for (flag, is_given) in [
        ("--param", !args.parameters.is_empty()),
        ("--track", args.track.is_some()),
    ] {
        if is_given && !is_stream {
            let what = format!("{flag} is for ws targets: the TwiML of a webhook has its own");
            let mut cli = Cli::command();
            cli.build();
            let call = cli.find_subcommand_mut("call").expect("it is being run");
            call.error(ErrorKind::ArgumentConflict, what).exit();
        }
    }
    let mut options = Options::new(target);
    options.turns = turns(args)?;
    options.interjections.clone_from(&args.interjections);
    options.takes_turns = true;
    options.tracks = tracks(args.track, &options.turns);
    options.from.clone_from(&args.from);
    options.to.clone_from(&args.to);
    options.dtmf.clone_from(&args.dtmf);
    options.parameters.clone_from(&args.parameters);
    options.status_callback.clone_from(&args.status_callback);
    options.faults.clone_from(&args.faults);
    options.seed = args.seed.unwrap_or(options.seed);
    // Of several tokens, Twilio itself signs with the first.
    options.auth_token = twilio.auth_tokens.into_iter().next();
    if let Some(account_sid) = twilio.account_sid {
        options.account_sid = account_sid;
    }
    Ok(options)
}

fn tracks(asked: Option<CallTrack>, turns: &[Turn]) -> Vec<MediaTrack> {
    let has_callee = turns
        .iter()
        .any(|turn| turn.party == Party::Callee || turn.meanwhile.is_some());
    match asked {
        Some(CallTrack::OutboundTrack) => vec![MediaTrack::Outbound],
        Some(CallTrack::BothTracks) => vec![MediaTrack::Inbound, MediaTrack::Outbound],
        None if has_callee => vec![MediaTrack::Inbound, MediaTrack::Outbound],
        None | Some(CallTrack::InboundTrack) => vec![MediaTrack::Inbound],
    }
}

/// The caller begins, then both take turns until nobody has anything left to say; then the
/// recordings are played.
fn turns(args: &Call) -> anyhow::Result<Vec<Turn>> {
    let say = |party, text: &String| Turn {
        pause: PAUSE,
        ..Turn::say(party, text)
    };
    let mut turns = Vec::new();
    for index in 0..args.say.len().max(args.callee.len()) {
        let said = args.say.get(index).map(|text| say(Party::Caller, text));
        let answered = args.callee.get(index).map(|text| say(Party::Callee, text));
        turns.extend(said.into_iter().chain(answered));
    }
    for file in &args.audio {
        let shown = file.display();
        let bytes = std::fs::read(file).with_context(|| format!("{shown} cannot be read"))?;
        let recording = wav::read(&bytes).with_context(|| format!("{shown} cannot be played"))?;
        let mut lanes = recording.lanes.into_iter();
        let caller = lanes.next().unwrap_or_default();
        turns.push(Turn {
            pause: PAUSE,
            meanwhile: lanes.next().map(Into::into),
            ..Turn::play(Party::Caller, caller)
        });
    }
    Ok(turns)
}

/// Why there was no call, and what to do about it.
fn with_remedy(error: PhoneError) -> anyhow::Error {
    let status = match &error {
        PhoneError::Webhook {
            source: WebhookError::Refused { status, .. },
            ..
        }
        | PhoneError::Handshake {
            source: HandshakeError::Status { status, .. },
            ..
        } => Some(status.as_u16()),
        _ => None,
    };
    let is_nobody_there = matches!(
        &error,
        PhoneError::Webhook {
            source: WebhookError::Unreachable(_),
            ..
        } | PhoneError::Handshake {
            source: HandshakeError::Refused(_) | HandshakeError::Unreachable(_),
            ..
        }
    );
    let remedy = match status {
        Some(403) => Some(
            "the signature is missing or wrong: set TWILIO_AUTH_TOKEN to the one the gateway has",
        ),
        Some(404) => Some(
            "call /voice or /voice/PROFILE of a gateway, or its streams /twilio and \
             /twilio/PROFILE, with a profile that it has",
        ),
        None if is_nobody_there => {
            Some("start a gateway with `sidetone serve`, or check the address")
        }
        _ => None,
    };
    let error = anyhow::Error::from(error);
    match remedy {
        Some(remedy) => anyhow!("{error:#}\n{remedy}"),
        None => error,
    }
}
