//! The listen link, by what goes in and what comes out, in virtual time.

mod finishing;
mod keeping;
mod line;
mod random_drops;
mod recogniser;
mod reconnecting;
mod results;
mod rig;
