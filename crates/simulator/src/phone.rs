//! The simulated phone: it calls, and does on the call what Twilio does.
//!
//! A target of `http` or `https` is a voice webhook: it is asked what to do, and the TwiML it
//! answers is followed, verb by verb, until the caller hangs up or the document does. A target of
//! `ws` or `wss` is a media stream that is opened at once.
//!
//! A call is known to an [`Exchange`] while it lasts. The REST API of an emulator that shares it, or
//! that it has [joined](Exchange::join), ends calls, leads them to other documents, and places new
//! ones, in which a simulated person is called.
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

mod attention;
mod call;
mod conversation;
mod dial;
mod error;
mod exchange;
mod farewell;
mod fault;
mod gather;
mod interjection;
mod keypad;
mod line;
mod options;
mod orders;
mod outbound;
mod playback;
mod progress;
mod record;
mod report;
mod socket;
mod stream;
mod stretch;
mod subscriber;
mod trunk;
mod verbs;
mod web;

use sidetone_twilio::form::Direction;

pub use error::{HandshakeError, PhoneError, WebhookError};
pub use exchange::Exchange;
pub(crate) use exchange::{Entry, Instructions, Order, Registration, Unreachable};
pub use fault::Fault;
pub use interjection::{Cue, Interjection, InterjectionError};
pub use options::{Options, Party, Turn};
pub(crate) use outbound::{Aside, Detection, Outbound, place};
pub(crate) use progress::CallCallback;
pub use record::{CallRecord, OpenStream};
pub use report::{Alert, Clear, End, HeardWord, Report, Spoken, StreamReport, Stretch};
pub use subscriber::{Answer, Subscriber};
pub(crate) use trunk::{PATH as TRUNK_PATH, WireOrder};
pub use trunk::{Trunk, TrunkError};
pub(crate) use verbs::inline_url;

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
        "http" | "https" => Box::pin(inbound(options).by_webhook()).await,
        "ws" | "wss" => Box::pin(inbound(options).by_stream()).await,
        _ => Err(PhoneError::UnsupportedTarget {
            target: error::shown(&options.target),
        }),
    }
}

fn inbound(options: Options) -> call::Call {
    call::Call::new(options, Direction::Inbound)
}

#[cfg(test)]
pub(crate) mod tests;
