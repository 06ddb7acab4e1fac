//! `sidetone serve`.

use std::process::ExitCode;

use anyhow::Context as _;
use sidetone_gateway::Gateway;
use tracing::{info, warn};

use crate::args::Serve;
use crate::config::{self, Inputs, Listing};
use crate::terminal::Terminal;
use crate::{logging, open_files, signals};

/// Runs the gateway until a signal.
pub(crate) async fn run(args: Serve) -> anyhow::Result<ExitCode> {
    let inputs = Inputs {
        profile: args.profile,
        agent: args.agent,
        insecure: args.insecure,
        ..args.layers.inputs()?
    };
    if args.print_config {
        return print_config(inputs);
    }
    let mut configuration = config::load(&inputs)?;
    let shutdown = signals::follow().context("cannot follow signals")?;
    let terminal = Terminal::on_stdout(args.interim);
    // As everywhere else: on a terminal, unless `NO_COLOR` or the like says otherwise.
    let ansi = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    logging::start(&configuration.log, ansi, terminal.log_writer())?;
    for warning in &configuration.warnings {
        warn!("{warning}");
    }
    let scheme = match configuration.gateway.tls {
        Some(_) => "https",
        None => "http",
    };
    let public_url = configuration.gateway.public_url.clone();
    // Every second one is left for Deepgram's connections.
    let connections = usize::try_from(open_files::raise() / 2).unwrap_or(usize::MAX);
    let limits = &mut configuration.gateway.limits;
    limits.max_connections = limits.max_connections.min(connections);
    let gateway = Gateway::bind(configuration.gateway).await?;
    for address in gateway.addresses() {
        info!("Listening on {scheme}://{address}");
    }
    if let Some(url) = public_url {
        info!(
            "Twilio's voice webhook for this gateway: {}/voice",
            url.as_str().trim_end_matches('/')
        );
    }
    let display = terminal.follow(gateway.calls());
    gateway.run(shutdown).await;
    display.settle().await;
    terminal.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Shows the configuration, then what is to be said about it.
fn print_config(inputs: Inputs) -> anyhow::Result<ExitCode> {
    // A key that is not set yet is shown as such.
    let inputs = Inputs {
        without_deepgram: true,
        ..inputs
    };
    let Listing {
        settings,
        warnings,
        refusal,
    } = config::list(&inputs);
    anstream::print!("{settings}");
    for warning in warnings {
        anstream::eprintln!("sidetone: {warning}");
    }
    refusal.map_or(Ok(ExitCode::SUCCESS), |refusal| Err(refusal.into()))
}
