//! `sidetone emulate`.

use std::process::ExitCode;

use anyhow::Context as _;
use sidetone_simulator::emulator::{Emulator, Options};

use crate::args::Emulate;
use crate::signals;

/// Runs the emulated Deepgram until a signal.
pub(crate) async fn run(args: Emulate) -> anyhow::Result<ExitCode> {
    let shutdown = signals::follow().context("cannot follow signals")?;
    let options = Options {
        listen: Some(args.listen),
        ..Options::default()
    };
    let emulator = Emulator::start(options)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    anstream::println!(
        "DEEPGRAM_URL={}",
        emulator.url().as_str().trim_end_matches('/')
    );
    anstream::println!("DEEPGRAM_API_KEY=emulated");
    shutdown.drain.cancelled().await;
    emulator.stop().await;
    Ok(ExitCode::SUCCESS)
}
