//! The listen link, by what goes in and what comes out, in virtual time.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the numbers of these tests are small"
)]

mod finishing;
mod keeping;
mod reconnecting;
mod results;
mod rig;
mod simulation;
