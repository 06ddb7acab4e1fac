//! `sidetone demo`: gateway, emulated Deepgram and simulated phones in one process.

mod fault;
mod score;
mod script;
mod speaking;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sidetone_call::archive::Archive as _;
use sidetone_call::event::{EventData, Status};
use sidetone_gateway::calls::Calls;
use sidetone_gateway::config::{Deepgram, Dial, Limits, Listen, Profile, Speak};
use sidetone_gateway::{Config, Gateway, Shutdown};
use sidetone_simulator::emulator::{self, Emulator};
use sidetone_simulator::phone;
use sidetone_twilio::CallSid;
use tokio::task::JoinSet;
use url::Url;

use crate::args::Demo;
use crate::config::{Log, LogFormat};
use crate::terminal::Terminal;
use crate::{faults, logging, open_files, signals};
pub(crate) use fault::Fault;
use score::Score;

/// Between the starts of two calls, so that a crowd does not ring in the same millisecond.
const STAGGER: Duration = Duration::from_millis(20);

/// After a phone has hung up, its last words are heard within this.
const LAST_WORDS: Duration = Duration::from_secs(100);

/// Runs the demonstration; fails when a word was lost or doubled.
pub(crate) async fn run(args: Demo) -> anyhow::Result<ExitCode> {
    if args.list_faults {
        let phones = faults::table(phone::Fault::LIST);
        let deepgram = faults::table(emulator::Fault::LIST);
        let about = faults::ABOUT_DEEPGRAMS;
        anstream::print!("The phones'\n{phones}\nDeepgram's\n{deepgram}\n{about}");
        return Ok(ExitCode::SUCCESS);
    }
    let shutdown = signals::follow().context("cannot follow signals")?;
    open_files::raise();
    let terminal = Terminal::on_stdout(false);
    let log = Log {
        filter: "warn".to_owned(),
        format: LogFormat::Text,
    };
    logging::start(&log, false, terminal.log_writer())?;

    let options = emulator::Options {
        faults: deepgram_faults(&args),
        seed: args.seed,
        ..emulator::Options::default()
    };
    let emulator = Emulator::start(options)
        .await
        .context("the emulated Deepgram")?;
    let gateway = Gateway::bind(configuration(&args, emulator.url())).await?;
    let address = *gateway
        .addresses()
        .first()
        .context("the gateway has no address")?;
    let calls = gateway.calls();
    let gateway_shutdown = Shutdown::default();
    let serving = tokio::spawn(gateway.run(gateway_shutdown.clone()));
    tell(&args, &terminal, opening(&args, address)).await;

    let first: CallSid = call_sid(0).parse().context("the demo's own call sid")?;
    let show = || terminal.follow_only(Arc::clone(&calls), Some(first));
    let display = (!args.json).then(show);
    let shown = (!args.json).then_some(&terminal);
    let outcome = tokio::select! {
        outcome = act(&args, address, &calls, shown) => Some(outcome?),
        () = shutdown.drain.cancelled() => None,
    };
    if let Some(display) = display {
        display.settle().await;
    }
    let Some(Outcome { summary, is_proof }) = outcome else {
        terminal.close().await;
        bail!("interrupted");
    };
    terminal.print(summary).await;
    if args.keep {
        let stays = format!("The console stays at http://{address}/ until Ctrl-C.");
        tell(&args, &terminal, stays).await;
        shutdown.drain.cancelled().await;
    }
    gateway_shutdown.drain.cancel();
    serving.await.context("the gateway")?;
    emulator.stop().await;
    terminal.close().await;
    Ok(if is_proof {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a demonstration came to.
struct Outcome {
    summary: String,
    /// Whether it shows what it is to show.
    is_proof: bool,
}

/// Makes the calls, and says what came of them.
async fn act(
    args: &Demo,
    address: SocketAddr,
    calls: &Arc<Calls>,
    terminal: Option<&Terminal>,
) -> anyhow::Result<Outcome> {
    if args.speak {
        let mut options = phone::Options::new(format!("http://{address}/voice").parse()?);
        options.call_sid = Some(call_sid(0).parse().context("the demo's own call sid")?);
        options.faults = phone_faults(args);
        options.seed = args.seed;
        let spoken = speaking::call(address, calls, terminal, options).await?;
        return Ok(Outcome {
            is_proof: spoken.is_right(),
            summary: match args.json {
                true => spoken.json().to_string(),
                false => spoken.to_string(),
            },
        });
    }
    let score = all_calls(args, address, calls).await?;
    Ok(Outcome {
        is_proof: score.is_perfect(),
        summary: match args.json {
            true => score.json()?,
            false => score.to_string(),
        },
    })
}

/// Tells the person something: with `--json`, stdout has the summary and nothing else.
async fn tell(args: &Demo, terminal: &Terminal, text: String) {
    if args.json {
        anstream::eprintln!("{text}");
    } else {
        terminal.print(text).await;
    }
}

fn deepgram_faults(args: &Demo) -> Vec<emulator::Fault> {
    let asked = args.faults.iter().filter_map(|fault| match fault {
        Fault::Deepgram(fault) => Some(fault.clone()),
        Fault::Phone(_) => None,
    });
    asked.chain(args.drop.then(|| cut(args.short))).collect()
}

fn phone_faults(args: &Demo) -> Vec<phone::Fault> {
    let asked = args.faults.iter().filter_map(|fault| match fault {
        Fault::Phone(fault) => Some(*fault),
        Fault::Deepgram(_) => None,
    });
    asked.collect()
}

/// With `--drop`: each call's Deepgram connection is cut in the middle of a sentence.
fn cut(is_short: bool) -> emulator::Fault {
    let cut = if is_short {
        "drop:after_ms=4000"
    } else {
        "drop:after_ms=10000"
    };
    cut.parse().expect("the emulator knows this fault")
}

fn opening(args: &Demo, address: SocketAddr) -> String {
    let what = match args.calls {
        _ if args.speak => "A simulated call, spoken into".to_owned(),
        1 => "A simulated call, transcribed live".to_owned(),
        n => format!("{n} simulated calls at once; this is the first"),
    };
    format!("{what}. Console: http://{address}/\n")
}

fn configuration(args: &Demo, deepgram: Url) -> Config {
    let listen = Some(Listen::default());
    let profile = if args.speak {
        Profile {
            listen,
            speak: Some(Speak {
                greeting: Some(speaking::GREETING.to_owned()),
                ..Speak::default()
            }),
            bidirectional: true,
            ..Profile::default()
        }
    } else {
        Profile {
            listen,
            dial: Some(Dial::Number(script::CALLEE.to_owned())),
            ..Profile::default()
        }
    };
    let deepgram = Deepgram::new(deepgram, "demo".into());
    Config {
        profiles: BTreeMap::from([("default".to_owned(), profile)]),
        limits: Limits {
            max_calls: usize::from(args.calls),
            ..Limits::default()
        },
        drain: Duration::ZERO,
        ..Config::new(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], deepgram)
    }
}

fn call_sid(index: u16) -> String {
    format!("CA{index:032x}")
}

/// Makes every call and compares what was said with what was heard.
async fn all_calls(args: &Demo, address: SocketAddr, calls: &Arc<Calls>) -> anyhow::Result<Score> {
    let route = |path: &str| -> anyhow::Result<Url> {
        let url = format!("http://{address}{path}").parse();
        url.context("the gateway's address")
    };
    let (voice, call_status) = (route("/voice")?, route("/twilio/call-status")?);
    let faults = phone_faults(args);
    let mut phones = JoinSet::new();
    for index in 0..args.calls {
        let mut options = phone::Options::new(voice.clone());
        options.call_sid = Some(call_sid(index).parse().context("the demo's own call sid")?);
        options.turns = script::conversation(usize::from(index), args.short);
        options.status_callback = Some(call_status.clone());
        options.faults.clone_from(&faults);
        options.seed = args.seed.wrapping_add(index.into());
        phones.spawn(one_call(
            options,
            Arc::clone(calls),
            STAGGER * u32::from(index),
        ));
    }
    let mut score = Score::default();
    while let Some(call) = phones.join_next().await {
        score.add(call.context("a simulated phone")??);
    }
    Ok(score)
}

async fn one_call(
    options: phone::Options,
    calls: Arc<Calls>,
    wait: Duration,
) -> anyhow::Result<Score> {
    tokio::time::sleep(wait).await;
    let report = phone::call(options)
        .await
        .context("a simulated call failed")?;
    let events = tokio::time::timeout(LAST_WORDS, events(&calls, &report.call_sid))
        .await
        .with_context(|| format!("call {} did not end", report.call_sid))??;
    Ok(Score::of(&report, &events))
}

/// Waits for the call's end and gives its events.
async fn events(calls: &Calls, call_sid: &CallSid) -> anyhow::Result<Vec<EventData>> {
    let mut changed = calls.changed();
    while calls
        .archive()
        .call(call_sid)
        .await?
        .is_none_or(|call| call.status != Status::Ended)
    {
        changed.changed().await.context("the gateway has stopped")?;
    }
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = calls.archive().events(call_sid, after, 500).await?;
        let Some(last) = page.last() else {
            return Ok(events);
        };
        after = last.event.seq;
        events.extend(page.iter().map(|entry| entry.event.data.clone()));
    }
}
