//! The voice agent: its messages, its settings, and the agent link by what goes in and what comes
//! out, in virtual time.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of these tests are small"
)]

mod audio;
mod resuming;
mod rig;
mod sessions;
mod settings;
mod silences;
mod simulation;
mod turns;
