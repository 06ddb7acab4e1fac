//! What the phone is told.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::{AccountSid, CallSid};
use url::Url;

use super::error::shown;
use super::{Exchange, Fault, Interjection};

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The person on this leg: inbound track.
    Caller,
    /// Whom that person hears, mostly the one called by `<Dial>`: outbound track.
    Callee,
}

/// One thing said.
#[derive(Clone, Debug)]
pub struct Turn {
    /// By whom.
    pub party: Party,
    /// What; not looked at when there is `audio`.
    pub text: String,
    /// Mu-law, 8000 Hz, played instead of the text being spoken. Its words are not known, so they
    /// are not reported.
    pub audio: Option<Bytes>,
    /// The same for the other party's voice, at the same time: the other channel of a recording
    /// of both. Such a turn of the caller waits for a callee who is still to come.
    pub meanwhile: Option<Bytes>,
    /// Silence before it, after the former turn ended.
    pub pause: Duration,
}

impl Turn {
    /// Speaks `text`, 300 ms after the former turn.
    pub fn say(party: Party, text: impl Into<String>) -> Self {
        let pause = Duration::from_millis(300);
        Self {
            party,
            text: text.into(),
            audio: None,
            meanwhile: None,
            pause,
        }
    }

    /// Plays a recording in mu-law, 8000 Hz, 300 ms after the former turn.
    pub fn play(party: Party, ulaw: impl Into<Bytes>) -> Self {
        Self {
            audio: Some(ulaw.into()),
            ..Self::say(party, "")
        }
    }
}

/// What the phone is told.
#[derive(Clone)]
pub struct Options {
    /// A voice webhook (http, https) or a stream (ws, wss).
    pub target: Url,
    /// The caller's number.
    pub from: String,
    /// The called number.
    pub to: String,
    /// Twilio's account.
    pub account_sid: AccountSid,
    /// The call; `None`: a new one.
    pub call_sid: Option<CallSid>,
    /// Signs webhooks and handshakes.
    pub auth_token: Option<SecretString>,
    /// Who is told that the call is over, as a number's status callback is.
    pub status_callback: Option<Url>,
    /// The conversation. The caller speaks from the stream's first audio, the callee once `<Dial>`
    /// is answered, on a ws target with an outbound track at once. Between two bidirectional
    /// streams nobody begins to speak. Turns of someone who never comes to the phone are not said.
    pub turns: Vec<Turn>,
    /// What the caller says besides, in this order, each as soon as its cue comes.
    pub interjections: Vec<Interjection>,
    /// On a bidirectional stream, the caller lets the other side finish before the next turn and
    /// before the keys: that is when it has spoken since the caller did, and then was silent for
    /// 700 ms. The caller goes on alone when nothing comes within 5 s, the first time within 2 s.
    pub takes_turns: bool,
    /// Keys pressed after the turns, on a bidirectional stream; `w` waits for half a second.
    pub dtmf: String,
    /// How long a dialled number rings before it is answered.
    pub ring: Duration,
    /// For a ws target: the tracks of the stream. The inbound one alone makes a bidirectional
    /// stream.
    pub tracks: Vec<MediaTrack>,
    /// For a ws target: its custom parameters.
    pub parameters: Vec<(String, String)>,
    /// Silence on both sides, after all turns and keys, before the caller hangs up.
    pub linger: Duration,
    /// The longest a call may last.
    pub time_limit: Duration,
    /// Where the call is known while it lasts; by default nobody else asks there.
    pub exchange: Exchange,
    /// What goes wrong on purpose.
    pub faults: Vec<Fault>,
    /// Seed of identifiers, timing, wobble and faults.
    pub seed: u64,
}

impl Options {
    /// A call to `target` in which nobody says anything: Twilio's test numbers, a seed of its own.
    pub fn new(target: Url) -> Self {
        Self {
            target,
            from: "+14155550123".into(),
            to: "+15005550006".into(),
            account_sid: "AC00000000000000000000000000000001"
                .parse()
                .expect("the sid is valid"),
            call_sid: None,
            auth_token: None,
            status_callback: None,
            turns: Vec::new(),
            interjections: Vec::new(),
            takes_turns: false,
            dtmf: String::new(),
            ring: Duration::from_secs(1),
            tracks: vec![MediaTrack::Inbound],
            parameters: Vec::new(),
            linger: Duration::from_secs(2),
            // Twilio's own.
            time_limit: Duration::from_secs(4 * 60 * 60),
            exchange: Exchange::default(),
            faults: Vec::new(),
            seed: RandomState::new().hash_one(0),
        }
    }
}

/// Parameters, numbers and what is said may be secrets or somebody's data and are not shown.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("target", &shown(&self.target))
            .field("account_sid", &self.account_sid)
            .field("call_sid", &self.call_sid)
            .field("turns", &self.turns.len())
            .field("interjections", &self.interjections.len())
            .field("takes_turns", &self.takes_turns)
            .field("tracks", &self.tracks)
            .field("faults", &self.faults)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
