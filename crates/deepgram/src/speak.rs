//! Text to speech, `POST /v1/speak`: a text in, telephone audio out as it is made.
//!
//! What a program that has a call to speak into does:
//!
//! 1. [`split`](pieces::split) the text into pieces, each a request of its own, and ask for the
//!    next while one is played.
//! 2. `POST` each to [`PATH`] with [`Params::query`](params::Params::query) and the JSON of
//!    [`request::body`].
//! 3. Status 200: read the head with [`Answer::read`](answer::Answer::read) and pass every chunk
//!    of the body through [`Answer::codes`](answer::Answer::codes). Any other status:
//!    [`words`](crate::error::words) tells what Deepgram says.
//! 4. What came to nothing goes to [`Attempts::failed`](attempts::Attempts::failed), which says
//!    when to try again, if at all. A body without a code is nothing, too.
//!
//! ```
//! use sidetone_deepgram::speak::answer::Answer;
//! use sidetone_deepgram::speak::params::Params;
//! use sidetone_deepgram::speak::{pieces, request};
//!
//! let [piece] = &pieces::split("Hello! How may I help you?")[..] else {
//!     panic!("a short text is one piece")
//! };
//! assert!(piece.sentences().eq(["Hello!", "How may I help you?"]));
//! assert!(Params::new().query().contains("container=none"));
//! assert_eq!(request::body(piece.text()), r#"{"text":"Hello! How may I help you?"}"#);
//!
//! let headers = |name| (name == "content-type").then_some("audio/basic");
//! let mut answer = Answer::read(headers).expect("audio");
//! let codes = answer.codes(vec![0xFF; 160].into()).expect("bare mu-law");
//! assert_eq!(codes.len(), 160);
//! ```

#[warn(clippy::arithmetic_side_effects)]
pub mod answer;
pub mod attempts;
pub mod params;
pub mod pieces;
#[warn(clippy::arithmetic_side_effects)]
pub mod query;
#[warn(clippy::arithmetic_side_effects)]
pub mod request;
mod voices;

pub use self::voices::is_voice;

/// Where speech is asked for, below Deepgram's base URL.
pub const PATH: &str = "/v1/speak";

/// How many requests may be under way at once, unless the project's plan has another limit; one
/// more is refused with 429.
///
/// Deepgram's pay-as-you-go limit of requests by REST. The project's keys share it.
pub const MOST_AT_ONCE: usize = 15;
