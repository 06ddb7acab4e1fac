//! TwiML: what Twilio is to do with a call, as XML.
//!
//! [`Response`] is a typed document that is written by the one who answers a webhook and read by
//! the one who plays Twilio. Every attribute is optional here as it is there: `None` leaves it
//! out, and Twilio's default counts.
//!
//! ```
//! use sidetone_twilio::twiml::{Response, Say, Verb};
//!
//! let hello = Response { verbs: vec![Verb::Say(Say::new("Fish & chips")), Verb::Hangup] };
//! let xml = hello.to_xml();
//! assert!(xml.ends_with("<Response><Say>Fish &amp; chips</Say><Hangup/></Response>"));
//! assert_eq!(Response::parse(&xml)?, hello);
//! # Ok::<(), sidetone_twilio::twiml::TwimlError>(())
//! ```

mod attribute;
mod element;
mod gather;
mod parser;
mod verb;

use std::fmt;

pub use attribute::{CallEvent, Method, RejectReason, StreamTrack};

use self::element::Element;

/// A TwiML document: verbs, done one after the other. One without verbs hangs up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// What to do, in order.
    pub verbs: Vec<Verb>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `<Start><Stream>`: forks the call's audio and goes on at once.
    Start(Stream),
    /// `<Stop><Stream>`: ends a fork.
    Stop {
        /// The name of its stream.
        stream_name: String,
    },
    /// Hands the call to a bidirectional stream until that ends.
    Connect(Connect),
    /// Speaks.
    Say(Say),
    /// Plays a recording or keys.
    Play(Play),
    /// Waits.
    Pause {
        /// How long; 1 second by default.
        length_secs: Option<u32>,
    },
    /// Waits for keys to be pressed.
    Gather(Gather),
    /// Calls someone and connects the two.
    Dial(Dial),
    /// Goes on with another document.
    Redirect(Redirect),
    /// Does not take the call. As first verb only.
    Reject {
        /// What the caller is told.
        reason: Option<RejectReason>,
    },
    /// Ends the call.
    Hangup,
}

/// A media stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Where to, `wss`, without a query: Twilio drops that.
    pub url: String,
    /// What `<Stop>` and callbacks call it.
    pub name: Option<String>,
    /// Which tracks; inbound by default, and always with `<Connect>`.
    pub track: Option<StreamTrack>,
    /// Who is told that it started, stopped or failed.
    pub status_callback: Option<String>,
    /// How; POST by default.
    pub status_callback_method: Option<Method>,
    /// What its `start` message carries.
    pub parameters: Vec<Parameter>,
}

/// Something a stream's `start` message carries.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value. Name and value have at most [`Parameter::MAX_CHARS`] characters together.
    pub value: String,
}

/// `<Connect>` with a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    /// The stream.
    pub stream: Stream,
    /// Who is asked what comes next, when the stream ends; by default the next verb does.
    pub action: Option<String>,
    /// How; POST by default.
    pub method: Option<Method>,
}

/// Speech.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Say {
    /// What is said. Of SSML only the text is kept.
    pub text: String,
    /// In which voice.
    pub voice: Option<String>,
    /// In which language; `en-US` by default.
    pub language: Option<String>,
    /// How often; 0 is without end. Once by default.
    pub loop_count: Option<u32>,
}

/// A recording or keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Play {
    /// The recording.
    pub url: Option<String>,
    /// The keys, `w` is half a second of silence.
    pub digits: Option<String>,
    /// How often; 0 is without end. Once by default.
    pub loop_count: Option<u32>,
}

/// Keys to be pressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gather {
    /// What is heard meanwhile: [`Verb::Say`], [`Verb::Play`] and [`Verb::Pause`] only.
    pub prompts: Vec<Verb>,
    /// `dtmf`, `speech` or both, separated by a space; keys by default.
    pub input: Option<String>,
    /// Who is told the keys and asked what comes next; the document's own URL by default.
    pub action: Option<String>,
    /// How; POST by default.
    pub method: Option<Method>,
    /// How long to wait for a key, and for each after it; 5 seconds by default.
    pub timeout_secs: Option<u32>,
    /// How many keys there will be; any number by default.
    pub digit_count: Option<u32>,
    /// The key after the last, which is none of them; `#` by default, and none when it is empty.
    pub finish_on_key: Option<String>,
    /// Whether `action` is asked even when nothing was pressed; by default the next verb is done.
    pub action_on_empty_result: Option<bool>,
}

/// A call to someone else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dial {
    /// Who; the first to answer is connected.
    pub numbers: Vec<Number>,
    /// The number they see.
    pub caller_id: Option<String>,
    /// How long to let it ring; 30 seconds by default.
    pub timeout_secs: Option<u32>,
    /// Whether our caller hears the ringing unanswered; otherwise the call is answered first.
    pub answer_on_bridge: Option<bool>,
    /// Who is asked what comes next; by default the next verb does.
    pub action: Option<String>,
    /// How; POST by default.
    pub method: Option<Method>,
}

/// Someone to dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Number {
    /// E.164.
    pub number: String,
    /// Keys to press once it is answered.
    pub send_digits: Option<String>,
    /// A document for the one who answers, before the two are connected.
    pub url: Option<String>,
    /// How it is fetched; POST by default.
    pub method: Option<Method>,
    /// Who is told how that call goes.
    pub status_callback: Option<String>,
    /// How; POST by default.
    pub status_callback_method: Option<Method>,
    /// Of what; `completed` only by default.
    pub status_callback_events: Option<Vec<CallEvent>>,
}

/// Another document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// Where it is.
    pub url: String,
    /// How it is fetched; POST by default.
    pub method: Option<Method>,
}

/// A document Twilio would not follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TwimlError {
    /// More than [`Response::MAX_BYTES`].
    #[error("the TwiML has {found} bytes, allowed are {}", Response::MAX_BYTES)]
    TooLong {
        /// Bytes of the document.
        found: usize,
    },
    /// Not well-formed XML.
    #[error("{at}: malformed TwiML: {detail}")]
    Malformed {
        /// Where.
        at: Position,
        /// What is wrong.
        detail: String,
    },
    /// A verb or noun that does not exist there. Names are case-sensitive.
    #[error("{at}: <{name}> is not known in {parent}")]
    UnknownElement {
        /// Where.
        at: Position,
        /// What it is called.
        name: String,
        /// What it is in, in words.
        parent: String,
    },
    /// An element without what it must hold.
    #[error("{at}: <{element}> must hold {expected}")]
    BadContent {
        /// Where.
        at: Position,
        /// The element.
        element: String,
        /// What it must hold, in words.
        expected: &'static str,
    },
    /// An attribute is missing or wrong.
    #[error("{at}: `{attribute}` of <{element}> is {found}, expected {expected}")]
    BadAttribute {
        /// Where.
        at: Position,
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// What it holds, in words.
        found: String,
        /// What it must hold, in words.
        expected: &'static str,
    },
}

/// A place in a document, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Response {
    /// The longest document Twilio takes from a webhook.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Writes the document, in one line after the XML declaration.
    ///
    /// Characters that XML cannot carry (control characters but tab and line ends) are left out.
    pub fn to_xml(&self) -> String {
        let verbs = self.verbs.iter().map(Verb::to_element);
        verbs
            .fold(Element::new("Response"), Element::with_child)
            .to_xml()
    }

    /// Reads a document.
    ///
    /// Unknown attributes are accepted; document type declarations are not, and of entities only
    /// the five of XML.
    pub fn parse(xml: &str) -> Result<Self, TwimlError> {
        if xml.len() > Self::MAX_BYTES {
            return Err(TwimlError::TooLong { found: xml.len() });
        }
        let root = parser::parse(xml)?;
        if root.name() != "Response" {
            return Err(root.unknown("a document, which is a <Response>"));
        }
        let verbs = root
            .children()
            .map(Verb::from_element)
            .collect::<Result<_, _>>()?;
        Ok(Self { verbs })
    }
}

impl Parameter {
    /// The most characters name and value may have together.
    pub const MAX_CHARS: usize = 499;

    /// A parameter.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// The value may be a secret or a caller's data and is not shown.
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Say {
    /// Speech in the account's voice.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

impl Number {
    /// A number and nothing else.
    pub fn new(number: impl Into<String>) -> Self {
        Self {
            number: number.into(),
            ..Self::default()
        }
    }
}

impl TwimlError {
    /// The code under which Twilio reports it.
    pub fn code(&self) -> u32 {
        match self {
            Self::TooLong { .. } => 11750,
            Self::Malformed { .. } => 12100,
            Self::UnknownElement { .. } | Self::BadContent { .. } | Self::BadAttribute { .. } => {
                12200
            }
        }
    }
}

impl Position {
    const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
