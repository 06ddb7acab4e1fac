//! Messages of `/v1/listen`, both ways, for a client and for an emulator.
//!
//! Reading is tolerant: unknown types, unknown fields and unknown values of enumerations pass,
//! absent booleans are false, absent lists are empty. Writing has Deepgram's order of keys.
//! Times are seconds of one connection's audio.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `{"type":"KeepAlive"}`: resets Deepgram's idle timer of 10 s. Must be a text frame.
pub const KEEP_ALIVE: &str = r#"{"type":"KeepAlive"}"#;
/// `{"type":"Finalize"}`: process what is buffered, on every channel, and send finals.
pub const FINALIZE: &str = r#"{"type":"Finalize"}"#;
/// `{"type":"CloseStream"}`: send the last finals and `Metadata`, then close.
pub const CLOSE_STREAM: &str = r#"{"type":"CloseStream"}"#;

/// A text frame that is none of Deepgram's messages.
#[derive(Debug, thiserror::Error)]
#[error("a text frame is no message of /v1/listen")]
pub struct MessageError(#[source] serde_json::Error);

/// What Deepgram says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum ServerMessage {
    /// What was heard in a stretch of one channel.
    Results(Results),
    /// The last message of a connection that was closed in good order.
    Metadata(Metadata),
    /// Someone began to speak (`vad_events`).
    SpeechStarted(SpeechStarted),
    /// A gap after the last word (`utterance_end_ms`).
    UtteranceEnd(UtteranceEnd),
    /// A message of ours was not understood; the connection goes on.
    Error(ErrorMessage),
    /// Not described for `/v1/listen`, but sent by Deepgram's other products.
    Warning(ErrorMessage),
    /// `Configure` was taken.
    ConfigureSuccess(ConfigureSuccess),
    /// `Configure` was not taken.
    ConfigureFailure(ConfigureFailure),
    /// A type this version does not know.
    #[serde(untagged)]
    Unknown {
        /// Its `type`.
        #[serde(rename = "type")]
        kind: String,
    },
}

impl ServerMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is no JSON object with a `type`, or a known type lacks what it cannot be
    /// understood without (the window of a `Results`, the channel of a `SpeechStarted`).
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        fn body<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, MessageError> {
            serde_json::from_str(text).map_err(MessageError)
        }

        let head: Head<'_> = body(text)?;
        Ok(match head.kind.as_ref() {
            "Results" => Self::Results(body(text)?),
            "Metadata" => Self::Metadata(body(text)?),
            "SpeechStarted" => Self::SpeechStarted(body(text)?),
            "UtteranceEnd" => Self::UtteranceEnd(body(text)?),
            "Error" => Self::Error(body(text)?),
            "Warning" => Self::Warning(body(text)?),
            "ConfigureSuccess" => Self::ConfigureSuccess(body(text)?),
            "ConfigureFailure" => Self::ConfigureFailure(body(text)?),
            _ => Self::Unknown {
                kind: head.kind.into_owned(),
            },
        })
    }

    /// The text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialize")
    }
}

/// `[index, total]`; a lone `[index]` is read as well, its total is one more than the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelIndex {
    /// Which channel, from 0.
    pub index: u32,
    /// How many channels the connection has.
    pub total: u32,
}

/// An interim or final result of one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Which channel.
    pub channel_index: ChannelIndex,
    /// Length of the window in seconds.
    pub duration: f64,
    /// Where the window begins, in seconds.
    pub start: f64,
    /// Whether the text of this window will not change any more.
    #[serde(default)]
    pub is_final: bool,
    /// Whether endpointing saw the end of the utterance.
    #[serde(default)]
    pub speech_final: bool,
    /// What was heard.
    pub channel: Channel,
    /// Who heard it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ResultsMetadata>,
    /// Whether `Finalize` asked for it.
    #[serde(default)]
    pub from_finalize: bool,
}

impl Results {
    /// The best alternative; `None` when there is none or its transcript is empty.
    pub fn heard(&self) -> Option<&Alternative> {
        self.channel
            .alternatives
            .first()
            .filter(|best| !best.transcript.is_empty())
    }
}

/// The alternatives of a window: one in practice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Best first.
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
}

/// What may have been said.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The text; empty in silence.
    #[serde(default)]
    pub transcript: String,
    /// 0 to 1.
    #[serde(default)]
    pub confidence: f64,
    /// Its words.
    #[serde(default)]
    pub words: Vec<Word>,
    /// The languages spoken (`language=multi`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
}

/// A word.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// In lower case, bare.
    pub word: String,
    /// In seconds.
    pub start: f64,
    /// In seconds.
    pub end: f64,
    /// 0 to 1.
    #[serde(default)]
    pub confidence: f64,
    /// As it reads in the text (`punctuate`, `smart_format`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub punctuated_word: Option<String>,
    /// Who of the channel (`diarize`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<u32>,
    /// In which language (`language=multi`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// Who made a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResultsMetadata {
    /// The connection's id, as in `dg-request-id`.
    pub request_id: String,
    /// The model.
    pub model_info: ModelInfo,
    /// The model's id.
    pub model_uuid: String,
}

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its family.
    pub arch: String,
}

/// What a connection has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Always `deprecated`.
    pub transaction_key: String,
    /// The connection's id.
    pub request_id: String,
    /// Digest of the audio received.
    pub sha256: String,
    /// RFC 3339.
    pub created: String,
    /// Seconds of audio received.
    pub duration: f64,
    /// How many channels; 0 when no audio came.
    pub channels: u32,
}

/// Someone began to speak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeechStarted {
    /// Where.
    pub channel: ChannelIndex,
    /// When, in seconds.
    pub timestamp: f64,
}

/// No word for `utterance_end_ms` after the last final one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UtteranceEnd {
    /// Where.
    pub channel: ChannelIndex,
    /// End of that word in seconds; below zero when none is known.
    pub last_word_end: f64,
}

/// A complaint; every field may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorMessage {
    /// Its kind, such as `SchemaError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// An older name of the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The text it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ErrorMessage {
    /// What it says, for people.
    pub fn words(&self) -> String {
        let said = self.description.as_ref().or(self.message.as_ref());
        let kind = self.variant.as_ref().or(self.code.as_ref());
        match (said, kind) {
            (Some(said), Some(kind)) => format!("{said} ({kind})"),
            (Some(words), None) | (None, Some(words)) => words.clone(),
            (None, None) => "Deepgram complained without words".to_owned(),
        }
    }

    /// The answer to a text frame that is no [`ClientMessage`].
    pub fn schema_error(offending: &str) -> Self {
        Self {
            variant: Some("SchemaError".to_owned()),
            code: None,
            description: Some("request schema is invalid".to_owned()),
            message: Some(offending.to_owned()),
        }
    }
}

/// `Configure` was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigureSuccess {
    /// The connection's id.
    pub request_id: String,
    /// The key terms in force, when they were replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyterms: Option<Vec<String>>,
}

/// `Configure` was not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigureFailure {
    /// The connection's id.
    pub request_id: String,
    /// Such as `CONFIGURE_KEYTERM_LIMIT_EXCEEDED`.
    pub code: String,
    /// A sentence.
    pub description: String,
}

/// What a client says in text frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ClientMessage {
    /// [`KEEP_ALIVE`].
    KeepAlive,
    /// [`FINALIZE`].
    Finalize {
        /// This channel only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        channel: Option<u32>,
    },
    /// [`CLOSE_STREAM`].
    CloseStream,
    /// Changes settings of a running connection.
    Configure {
        /// Replaces the key terms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keyterms: Option<Vec<String>>,
        /// Switches features.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        features: Option<Features>,
    },
}

impl ClientMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is none of these; Deepgram answers with [`ErrorMessage::schema_error`].
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        serde_json::from_str(text).map_err(MessageError)
    }

    /// The text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialize")
    }
}

/// What `Configure` can switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Features {
    /// Numbers as digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numerals: Option<bool>,
}

/// A WebSocket close as Deepgram sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// WebSocket close code.
    pub code: u16,
    /// Close reason.
    pub reason: &'static str,
}

impl Close {
    /// Deepgram had nothing to say within its window: an internal fault, or too little audio.
    pub const NET_0000: Self = Self {
        code: 1011,
        reason: "Deepgram did not provide a response message within the timeout window. See https://dpgr.am/net0000",
    };
    /// Neither audio nor text came for 10 s.
    pub const NET_0001: Self = Self {
        code: 1011,
        reason: "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001",
    };
    /// What came cannot be decoded as audio.
    pub const DATA_0000: Self = Self {
        code: 1008,
        reason: "Deepgram could not decode the payload as audio. See https://dpgr.am/data0000",
    };
}

/// Without what was said.
impl fmt::Debug for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alternative")
            .field("confidence", &self.confidence)
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

/// Without the word.
impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("start", &self.start)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Serialize for ChannelIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.index, self.total].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ChannelIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;

        impl<'de> Visitor<'de> for Pair {
            type Value = ChannelIndex;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[index, total]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ChannelIndex, A::Error> {
                let index: u32 = seq
                    .next_element()?
                    .ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let total = seq
                    .next_element()?
                    .unwrap_or_else(|| index.saturating_add(1));
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(ChannelIndex { index, total })
            }
        }

        deserializer.deserialize_seq(Pair)
    }
}
