//! `sidetone demo`: gateway, emulated Deepgram and simulated phones in one process.

mod conversing;
mod fault;
mod ledger;
mod orders;
mod score;
mod script;
mod speaking;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
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
use orders::Orders;
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
        agent: conversing::script(),
        ..emulator::Options::default()
    };
    let emulator = Emulator::start(options)
        .await
        .context("the emulated Deepgram")?;
    let orders = match args.agent {
        true => Some(Orders::start().await?),
        false => None,
    };
    let gateway = Gateway::bind(configuration(&args, emulator.url(), orders.as_ref())?).await?;
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
        outcome = act(&args, address, &calls, orders.as_ref(), shown) => Some(outcome?),
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
    if let Some(orders) = orders {
        orders.stop().await?;
    }
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

impl Outcome {
    fn of(args: &Demo, is_proof: bool, json: &Value, text: &impl fmt::Display) -> Self {
        let summary = match args.json {
            true => json.to_string(),
            false => text.to_string(),
        };
        Self { summary, is_proof }
    }
}

/// Makes the calls, and says what came of them.
async fn act(
    args: &Demo,
    address: SocketAddr,
    calls: &Arc<Calls>,
    orders: Option<&Orders>,
    terminal: Option<&Terminal>,
) -> anyhow::Result<Outcome> {
    let mut options = phone::Options::new(format!("http://{address}/voice").parse()?);
    options.call_sid = Some(call_sid(0).parse().context("the demo's own call sid")?);
    options.faults = phone_faults(args);
    options.seed = args.seed;
    if let Some(orders) = orders {
        let conversation = conversing::call(calls, orders, options).await?;
        let is_proof = conversation.is_right();
        return Ok(Outcome::of(
            args,
            is_proof,
            &conversation.json(),
            &conversation,
        ));
    }
    if args.speak {
        let spoken = speaking::call(address, calls, terminal, options).await?;
        return Ok(Outcome::of(
            args,
            spoken.is_right(),
            &spoken.json(),
            &spoken,
        ));
    }
    let score = all_calls(args, address, calls).await?;
    Ok(Outcome::of(args, score.is_perfect(), &score.json(), &score))
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
        _ if args.agent => "A simulated call, talked with by an agent".to_owned(),
        _ if args.speak => "A simulated call, spoken into".to_owned(),
        1 => "A simulated call, transcribed live".to_owned(),
        n => format!("{n} simulated calls at once; this is the first"),
    };
    format!("{what}. Console: http://{address}/\n")
}

fn configuration(args: &Demo, emulator: Url, orders: Option<&Orders>) -> anyhow::Result<Config> {
    let listen = Some(Listen::default());
    let profile = if let Some(orders) = orders {
        conversing::profile(&orders.url)?
    } else if args.speak {
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
    let deepgram = Deepgram {
        agent_url: emulator.clone(),
        ..Deepgram::new(emulator, "demo".into())
    };
    Ok(Config {
        profiles: BTreeMap::from([("default".to_owned(), profile)]),
        limits: Limits {
            max_calls: usize::from(args.calls),
            ..Limits::default()
        },
        drain: Duration::ZERO,
        ..Config::new(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], deepgram)
    })
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
    let events = events_of(&calls, &report.call_sid).await?;
    Ok(Score::of(&report, &events))
}

/// The events of a call that its phone has left, to its last words.
async fn events_of(calls: &Calls, call_sid: &CallSid) -> anyhow::Result<Vec<EventData>> {
    tokio::time::timeout(LAST_WORDS, events(calls, call_sid))
        .await
        .with_context(|| format!("call {call_sid} did not end"))?
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
