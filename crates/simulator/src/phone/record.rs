//! A call as the exchange knows it, and as JSON.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sidetone_twilio::form::{CallStatus, Direction};
use sidetone_twilio::{AccountSid, CallSid, StreamSid};

use super::{Alert, End, HeardWord, Spoken, StreamReport, Stretch};

/// A call as the exchange knows it.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// Which.
    pub call_sid: CallSid,
    /// Whose.
    pub account_sid: AccountSid,
    /// The call whose `<Dial>` made it.
    pub parent_call_sid: Option<CallSid>,
    /// Which way it was set up.
    pub direction: Direction,
    /// The caller's number.
    pub from: String,
    /// The called number.
    pub to: String,
    /// How far it is; never `Initiated`, as over the REST API.
    pub status: CallStatus,
    /// Who answered, when that was to be found out: `human`, `machine_start` ...
    pub answered_by: Option<String>,
    /// How long it waits, or waited, in the queue.
    pub queued_ms: u64,
    /// Since when it is known.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub updated_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// As in [`Report::spoken`](super::Report::spoken), so far.
    pub spoken: Vec<Spoken>,
    /// As in [`Report::heard`](super::Report::heard), so far.
    pub heard: Vec<HeardWord>,
    /// As in [`Report::stretches`](super::Report::stretches), so far.
    pub stretches: Vec<Stretch>,
    /// As in [`Report::digits`](super::Report::digits), so far.
    pub digits: String,
    /// As in [`Report::played_samples`](super::Report::played_samples), so far.
    pub played_samples: u64,
    /// The streams that are open or being opened.
    pub open_streams: Vec<OpenStream>,
    /// The streams that were open, in order of their end.
    pub streams: Vec<StreamReport>,
    /// What Twilio's debugger would show, in order.
    pub alerts: Vec<Alert>,
    /// Requests, answers and faults worth telling, in order.
    pub notes: Vec<String>,
    /// How it ended.
    pub end: Option<End>,
    /// How often it changed.
    pub(crate) revision: u64,
    /// What another process told of its call; the words are in there.
    told: Option<Value>,
}

/// A stream that is open or being opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenStream {
    /// Which.
    pub stream_sid: StreamSid,
    /// Its name in the document.
    pub name: Option<String>,
}

impl CallRecord {
    /// A call that is set up now.
    pub(crate) fn new(
        call_sid: CallSid,
        account_sid: AccountSid,
        direction: Direction,
        [from, to]: [String; 2],
        status: CallStatus,
    ) -> Self {
        let now = Timestamp::now();
        Self {
            call_sid,
            account_sid,
            parent_call_sid: None,
            direction,
            from,
            to,
            status,
            answered_by: None,
            queued_ms: 0,
            created_at: now,
            updated_at: now,
            answered_at: None,
            ended_at: None,
            spoken: Vec::new(),
            heard: Vec::new(),
            stretches: Vec::new(),
            digits: String::new(),
            played_samples: 0,
            open_streams: Vec::new(),
            streams: Vec::new(),
            alerts: Vec::new(),
            notes: Vec::new(),
            end: None,
            revision: 0,
            told: None,
        }
    }

    /// What another process tells of its call; `None` when that is something else.
    pub(crate) fn told(told: Value) -> Option<Self> {
        let known = Known::deserialize(&told).ok()?;
        Some(Self {
            parent_call_sid: known.parent_call_sid,
            answered_by: known.answered_by,
            queued_ms: known.queued_ms,
            created_at: known.created_at,
            updated_at: known.updated_at,
            answered_at: known.answered_at,
            ended_at: known.ended_at,
            open_streams: known.open_streams,
            told: Some(told),
            ..Self::new(
                known.call_sid,
                known.account_sid,
                Direction::from_name(&known.direction),
                [known.from, known.to],
                CallStatus::from_name(&known.status),
            )
        })
    }

    /// All that is known.
    pub(crate) fn to_json(&self) -> Value {
        if let Some(told) = &self.told {
            let mut told = told.clone();
            // It ends without a word when the other process does.
            told["status"] = self.status.name().into();
            told["ended_at"] = json!(self.ended_at);
            return told;
        }
        json!({
            "call_sid": self.call_sid,
            "account_sid": self.account_sid,
            "parent_call_sid": self.parent_call_sid,
            "direction": self.direction.name(),
            "from": self.from,
            "to": self.to,
            "status": self.status.name(),
            "answered_by": self.answered_by,
            "queued_ms": self.queued_ms,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "answered_at": self.answered_at,
            "ended_at": self.ended_at,
            "end": self.end.as_ref().map(End::name),
            "spoken": self.spoken,
            "heard": self.heard,
            "stretches": self.stretches,
            "digits": self.digits,
            "open_streams": self.open_streams,
            "streams": self.streams,
            "alerts": self.alerts,
            "notes": self.notes,
        })
    }

    /// How long it was answered.
    pub(crate) fn answered_secs(&self) -> u64 {
        let (Some(answered), Some(ended)) = (self.answered_at, self.ended_at) else {
            return 0;
        };
        let secs = ended.duration_since(answered).as_secs();
        u64::try_from(secs).unwrap_or(0)
    }
}

/// What of a call in JSON is looked at.
#[derive(Deserialize)]
struct Known {
    call_sid: CallSid,
    account_sid: AccountSid,
    parent_call_sid: Option<CallSid>,
    direction: String,
    from: String,
    to: String,
    status: String,
    answered_by: Option<String>,
    queued_ms: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
    answered_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    open_streams: Vec<OpenStream>,
}
