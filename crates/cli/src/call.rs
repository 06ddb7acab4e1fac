//! `sidetone call`.

use std::process::ExitCode;
use std::time::Duration;

use sidetone_simulator::phone::{self, End, Party, Turn};

use crate::args::Call;

/// Silence between what one says and what the other answers.
const PAUSE: Duration = Duration::from_millis(600);

/// The close code of a WebSocket that has done what it was for.
const NORMAL_CLOSURE: u16 = 1000;

/// Makes one simulated call and tells what became of it.
pub(crate) async fn run(args: Call) -> anyhow::Result<ExitCode> {
    let mut options = phone::Options::new(args.url);
    options.turns = alternate(&args.say, &args.callee);
    options.from = args.from;
    options.to = args.to;
    options.dtmf = args.dtmf;
    options.auth_token = std::env::var("TWILIO_AUTH_TOKEN")
        .ok()
        .and_then(|tokens| {
            tokens
                .split(',')
                .next()
                .map(|token| token.trim().to_owned())
        })
        .filter(|token| !token.is_empty())
        .map(Into::into);
    if let Some(account) = std::env::var("TWILIO_ACCOUNT_SID")
        .ok()
        .and_then(|sid| sid.parse().ok())
    {
        options.account_sid = account;
    }
    let report = phone::call(options).await?;
    for note in &report.notes {
        anstream::eprintln!("{note}");
    }
    for alert in &report.alerts {
        anstream::eprintln!("{}: {}", alert.code, alert.detail);
    }
    anstream::println!("{} said {} words", report.call_sid, report.spoken.len());
    let heard: Vec<&str> = report.heard.iter().map(|word| word.text.as_str()).collect();
    if !heard.is_empty() {
        anstream::println!("{} heard: {}", report.call_sid, heard.join(" "));
    }
    Ok(exit_code(&report.end))
}

/// A call that its server broke off has failed, however much was said before.
fn exit_code(end: &End) -> ExitCode {
    match end {
        End::ApplicationError => ExitCode::FAILURE,
        End::StreamClosed {
            code: Some(code),
            reason,
        } if *code != NORMAL_CLOSURE => {
            anstream::eprintln!("sidetone: the server closed the stream with {code}: {reason}");
            ExitCode::FAILURE
        }
        End::StreamClosed { .. }
        | End::CallerHungUp
        | End::TimeLimit
        | End::DocumentEnded
        | End::DocumentHungUp
        | End::Rejected => ExitCode::SUCCESS,
    }
}

/// The caller begins, then both take turns until nobody has anything left to say.
fn alternate(caller: &[String], callee: &[String]) -> Vec<Turn> {
    let turn = |party, text: &String| Turn {
        pause: PAUSE,
        ..Turn::say(party, text)
    };
    (0..caller.len().max(callee.len()))
        .flat_map(|i| {
            let said = caller.get(i).map(|text| turn(Party::Caller, text));
            let answered = callee.get(i).map(|text| turn(Party::Callee, text));
            [said, answered].into_iter().flatten()
        })
        .collect()
}
