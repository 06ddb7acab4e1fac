//! The `sidetone` command.

mod args;
mod call;
mod check;
mod config;
mod demo;
mod emulate;
mod faults;
mod layers;
mod logging;
mod number;
mod open_files;
mod serve;
mod signals;
mod terminal;
mod words;

use std::process::ExitCode;

use clap::Parser as _;
use sidetone_gateway::StartError;

use crate::args::{Cli, Command};

// Frames are small and many; mimalloc hands their buffers out and back more cheaply than the
// system's allocator and gives memory back after a burst of calls.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for wrong usage or configuration; clap uses the same.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nothing installed a provider before main");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sidetone: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Call(args) => call::run(args).await,
            Command::Emulate(args) => emulate::run(args).await,
            Command::Check(args) => check::run(args).await,
            Command::Number(args) => number::run(args).await,
        }
    });
    // A thread that waits for a terminal may never come back; it holds nothing that is not written.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("sidetone: {error:#}");
            let is_refused = |start: &StartError| {
                matches!(start, StartError::Unsafe(_) | StartError::Setting(_))
            };
            let usage =
                error.is::<config::ConfigError>() || error.downcast_ref().is_some_and(is_refused);
            if usage {
                ExitCode::from(WRONG_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
