//! The simulated phone: it calls, and does on the call what Twilio does.
//!
//! A target of `http` or `https` is a voice webhook: it is asked what to do, and the TwiML it
//! answers is followed, verb by verb, until the caller hangs up or the document does. A target of
//! `ws` or `wss` is a media stream that is opened at once.
//!
//! The core is made of values that know no clock and no socket: who speaks which sample when
//! (`line`), what a stream says and takes (`stream`), what is played (`playback`). Around it stands
//! one task per call with one timer, that of the 20 ms frames; dropping the future of [`call`] ends
//! everything it began.
//!
//! ```no_run
//! use sidetone_simulator::phone::{self, Options, Party, Turn};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = Options::new("http://127.0.0.1:5000/voice".parse()?);
//! options.turns.push(Turn::say(Party::Caller, "Hello, is anyone there?"));
//! let report = phone::call(options).await?;
//! println!("{} words left the phone", report.spoken.len());
//! # Ok(())
//! # }
//! ```

mod call;
mod conversation;
mod dial;
mod error;
mod farewell;
mod fault;
mod keypad;
mod line;
mod options;
mod playback;
mod report;
mod socket;
mod stream;
mod verbs;
mod web;

pub use error::{HandshakeError, PhoneError, WebhookError};
pub use fault::Fault;
pub use options::{Options, Party, Turn};
pub use report::{Alert, End, HeardWord, Report, Spoken, StreamReport};

/// Makes a call and sees it through, in real time.
///
/// What goes wrong once the call is under way is in the report, as [`Report::alerts`] and
/// [`Report::end`], since what was said until then still counts.
///
/// # Errors
/// When there never was a call: the target is none, its webhook gave no TwiML, or its stream did
/// not open.
///
/// # Cancellation
/// Dropping the future hangs up without a word, as a phone does that loses its network.
pub async fn call(options: Options) -> Result<Report, PhoneError> {
    match options.target.scheme() {
        "http" | "https" => Box::pin(call::Call::new(options).by_webhook()).await,
        "ws" | "wss" => Box::pin(call::Call::new(options).by_stream()).await,
        _ => Err(PhoneError::UnsupportedTarget {
            target: error::shown(&options.target),
        }),
    }
}

#[cfg(test)]
mod tests;
