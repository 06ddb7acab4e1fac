//! `sidetone check`: finds out what keeps calls from arriving, being heard and being kept.

mod data_folder;
mod deepgram;
mod holder;
mod ports;
mod public;
mod report;
mod twilio;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use sidetone_gateway::StartError;

use crate::args::Check;
use crate::config::{self, Configuration, Inputs};
use report::{Finding, Report};

/// Every question to somebody else is answered within this, or counts as not answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is looked at after the configuration, in the order in which it is told.
const AFTER_CONFIGURATION: [&str; 8] = [
    ports::NAME,
    data_folder::NAME,
    deepgram::KEY,
    deepgram::AGENT,
    twilio::ACCOUNT,
    twilio::NUMBERS,
    public::NAME,
    public::STREAM,
];

/// Looks at everything, prints a line for each, and fails when something does.
pub(crate) async fn run(args: Check) -> anyhow::Result<ExitCode> {
    let inputs = Inputs {
        profile: args.profile,
        agent: args.agent,
        insecure: args.insecure,
        ..args.layers.inputs()?
    };
    let mut report = Report::new(args.json);
    let (configuration, problems) = config::examine(&inputs);
    for problem in &problems {
        report.tell(Finding::wrong(CONFIGURATION, problem));
    }
    let Some(configuration) = configuration else {
        for name in AFTER_CONFIGURATION {
            report.tell(Finding::skipped(name, "the configuration comes first"));
        }
        return Ok(report.finish());
    };
    let opened = ports::open(&configuration.gateway).await;
    if let Some(error) = opened.refusal() {
        report.tell(Finding::wrong(CONFIGURATION, error));
    } else if problems.is_empty() {
        report.tell(understood(&inputs));
    }
    for warning in &configuration.warnings {
        report.tell(Finding::warning(CONFIGURATION, warning));
    }
    look(&configuration, &args.numbers, opened, &mut report).await;
    Ok(report.finish())
}

const CONFIGURATION: &str = "configuration";

fn understood(inputs: &Inputs) -> Finding {
    let file = config::file(inputs).map_or_else(
        || "no file; .env, environment and defaults".to_owned(),
        |path| format!("{}, .env, environment and defaults", path.display()),
    );
    Finding::ok(CONFIGURATION, file)
}

/// Looks at all that the configuration names, at once where that is possible, and tells it in
/// order.
async fn look(
    configuration: &Configuration,
    numbers: &[String],
    opened: ports::Opened,
    report: &mut Report,
) {
    let config = &configuration.gateway;
    let (finding, answering) = ports::check(config, opened).await;
    report.tell(finding);
    let mut looking: FuturesOrdered<Pin<Box<dyn Future<Output = Vec<Finding>> + '_>>> =
        FuturesOrdered::new();
    looking.push_back(Box::pin(async {
        vec![data_folder::check(&configuration.data_dir)]
    }));
    looking.push_back(Box::pin(async {
        vec![deepgram::check_key(&config.deepgram).await]
    }));
    looking.push_back(Box::pin(async {
        vec![deepgram::check_agent(&config.deepgram, configuration.uses_agent).await]
    }));
    looking.push_back(Box::pin(twilio::check(config, numbers)));
    looking.push_back(Box::pin(public::check(config, &answering)));
    while let Some(findings) = looking.next().await {
        for finding in findings {
            report.tell(finding);
        }
    }
    drop(looking);
    answering.stop().await;
}

/// A configuration with which no gateway starts, told apart from ports that are taken.
fn is_of_configuration(error: &StartError) -> bool {
    !matches!(error, StartError::Bind { .. })
}

/// What an answer within [`PATIENCE`] was; `None`: there was none.
async fn in_time<T>(answer: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, answer).await.ok()
}
