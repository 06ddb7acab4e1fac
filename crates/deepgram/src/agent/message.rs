//! Messages of the voice agent, both ways, for a client and for an emulator.
//!
//! Reading is tolerant: unknown types and unknown fields pass, latencies may be numbers or
//! strings, what a message can be understood without may be absent. Writing has Deepgram's order
//! of keys. Audio, both ways, is binary frames and no message.
//!
//! `Debug` names a message and what identifies it, never what people said or what they set.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

mod debug;

/// A text frame that is none of the voice agent's messages.
#[derive(Debug, thiserror::Error)]
#[error("a text frame is no message of the voice agent ({})", kind.as_deref().unwrap_or("no type"))]
pub struct MessageError {
    /// Its `type`, when it has one.
    pub kind: Option<String>,
    /// What it lacks.
    pub source: serde_json::Error,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person who calls.
    User,
    /// The agent.
    Assistant,
}

/// What Deepgram says.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum ServerMessage {
    /// The first message of a connection: now `Settings` are expected.
    Welcome {
        /// Deepgram's id of the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// `Settings` were taken: from now on audio and everything else may be sent.
    SettingsApplied,
    /// What was said: by the user, once the turn is sure; by the agent, a sentence at a time,
    /// when it is made and before it is spoken.
    ConversationText {
        /// Who.
        role: Role,
        /// The text.
        content: String,
    },
    /// The user speaks: what the agent says is void, and so is a speculative answer.
    UserStartedSpeaking,
    /// The model is at work.
    AgentThinking {
        /// What it thinks, of models that tell.
        #[serde(default)]
        content: String,
    },
    /// The model calls functions.
    FunctionCallRequest {
        /// Which; they may be done side by side.
        functions: Vec<FunctionCall>,
    },
    /// Requests are revoked: their answers would come to nothing.
    FunctionCallCancelled {
        /// Which.
        functions: Vec<CancelledFunction>,
    },
    /// What a function that Deepgram called itself has answered.
    FunctionCallResponse(FunctionCallResponse),
    /// The first audio of an answer follows (`experimental`).
    AgentStartedSpeaking(AgentStartedSpeaking),
    /// The last byte of an answer was sent; it has not been heard yet.
    AgentAudioDone,
    /// How long something took: in practice one field a message.
    LatencyReport(LatencyReport),
    /// The listening model thinks that the user's turn is over; undocumented.
    EndOfTurn {
        /// `model` or `timeout`.
        #[serde(skip_serializing_if = "Option::is_none")]
        trigger: Option<String>,
    },
    /// `UpdatePrompt` was taken.
    PromptUpdated,
    /// `UpdateSpeak` was taken.
    SpeakUpdated,
    /// `UpdateThink` was taken.
    ThinkUpdated,
    /// `UpdateListen` was taken.
    ListenUpdated,
    /// A message is not said, because someone speaks.
    InjectionRefused {
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Echo of a text or of function calls (`flags.history`).
    History(HistoryItem),
    /// Something is not as it should be; the session goes on.
    Warning(Notice),
    /// The session is over, or about to be.
    Error(Notice),
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
    /// understood without (the role of a `ConversationText`, the id of a function call).
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Welcome {
            #[serde(alias = "session_id")]
            request_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct ConversationText {
            role: Role,
            content: String,
        }
        #[derive(Deserialize)]
        struct AgentThinking {
            content: Option<String>,
        }
        #[derive(Deserialize)]
        struct Functions<T> {
            functions: Vec<T>,
        }
        #[derive(Deserialize)]
        struct EndOfTurn {
            trigger: Option<String>,
        }
        #[derive(Deserialize)]
        struct InjectionRefused {
            message: Option<String>,
        }

        let frame = Frame::of(text)?;
        Ok(match frame.kind.as_ref() {
            "Welcome" => {
                let Welcome { request_id } = frame.body()?;
                Self::Welcome { request_id }
            }
            "SettingsApplied" => Self::SettingsApplied,
            "ConversationText" => {
                let ConversationText { role, content } = frame.body()?;
                Self::ConversationText { role, content }
            }
            "UserStartedSpeaking" => Self::UserStartedSpeaking,
            "AgentThinking" => Self::AgentThinking {
                content: frame.body::<AgentThinking>()?.content.unwrap_or_default(),
            },
            "FunctionCallRequest" => {
                let Functions { functions } = frame.body()?;
                Self::FunctionCallRequest { functions }
            }
            "FunctionCallCancelled" => {
                let Functions { functions } = frame.body()?;
                Self::FunctionCallCancelled { functions }
            }
            "FunctionCallResponse" => Self::FunctionCallResponse(frame.body()?),
            "AgentStartedSpeaking" => Self::AgentStartedSpeaking(frame.body()?),
            "AgentAudioDone" => Self::AgentAudioDone,
            "LatencyReport" => Self::LatencyReport(frame.body()?),
            "EndOfTurn" => Self::EndOfTurn {
                trigger: frame.body::<EndOfTurn>()?.trigger,
            },
            "PromptUpdated" => Self::PromptUpdated,
            "SpeakUpdated" => Self::SpeakUpdated,
            "ThinkUpdated" => Self::ThinkUpdated,
            "ListenUpdated" => Self::ListenUpdated,
            "InjectionRefused" => Self::InjectionRefused {
                message: frame.body::<InjectionRefused>()?.message,
            },
            "History" => Self::History(frame.body()?),
            "Warning" => Self::Warning(frame.body()?),
            "Error" => Self::Error(frame.body()?),
            _ => Self::Unknown {
                kind: frame.kind.into_owned(),
            },
        })
    }

    /// The text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialize")
    }
}

/// What a client says.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum ClientMessage {
    /// What the session is to be: the first message, after `Welcome`. Everything of the document
    /// but its `type`.
    Settings(Map<String, Value>),
    /// More instructions for the model: appended to those it has, by Deepgram's own page on it.
    UpdatePrompt {
        /// The instructions.
        prompt: String,
    },
    /// Another voice.
    UpdateSpeak {
        /// As in `Settings`.
        speak: Value,
    },
    /// Another model, prompt and functions: all of what there was is replaced.
    UpdateThink {
        /// As in `Settings`.
        think: Value,
    },
    /// Other settings of listening; what is absent stays as it is.
    UpdateListen {
        /// As in `Settings`.
        listen: Value,
    },
    /// The agent is to say this.
    InjectAgentMessage {
        /// The text.
        message: String,
        /// When someone speaks; absent: [`Behavior::Default`].
        #[serde(skip_serializing_if = "Option::is_none")]
        behavior: Option<Behavior>,
    },
    /// As if the user had said this.
    InjectUserMessage {
        /// The text.
        content: String,
    },
    /// The answer to a function call of the client's side.
    FunctionCallResponse(FunctionCallResponse),
    /// Resets Deepgram's idle timer of 10 s.
    KeepAlive,
    /// The user's turn is over (Flux only).
    ForceEndTurn,
    /// A type this version does not know.
    #[serde(untagged)]
    Unknown {
        /// Its `type`.
        #[serde(rename = "type")]
        kind: String,
    },
}

impl ClientMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is no JSON object with a `type`, or a known type lacks what it needs. Deepgram
    /// answers with the `Error` `UNPARSABLE_CLIENT_MESSAGE`, and also to a [`Self::Unknown`].
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct UpdatePrompt {
            prompt: String,
        }
        #[derive(Deserialize)]
        struct UpdateSpeak {
            speak: Value,
        }
        #[derive(Deserialize)]
        struct UpdateThink {
            think: Value,
        }
        #[derive(Deserialize)]
        struct UpdateListen {
            listen: Value,
        }
        #[derive(Deserialize)]
        struct InjectAgentMessage {
            message: String,
            behavior: Option<Behavior>,
        }
        #[derive(Deserialize)]
        struct InjectUserMessage {
            content: String,
        }

        let frame = Frame::of(text)?;
        Ok(match frame.kind.as_ref() {
            "Settings" => {
                let mut document: Map<String, Value> = frame.body()?;
                document.remove("type");
                Self::Settings(document)
            }
            "UpdatePrompt" => Self::UpdatePrompt {
                prompt: frame.body::<UpdatePrompt>()?.prompt,
            },
            "UpdateSpeak" => Self::UpdateSpeak {
                speak: frame.body::<UpdateSpeak>()?.speak,
            },
            "UpdateThink" => Self::UpdateThink {
                think: frame.body::<UpdateThink>()?.think,
            },
            "UpdateListen" => Self::UpdateListen {
                listen: frame.body::<UpdateListen>()?.listen,
            },
            "InjectAgentMessage" => {
                let InjectAgentMessage { message, behavior } = frame.body()?;
                Self::InjectAgentMessage { message, behavior }
            }
            "InjectUserMessage" => Self::InjectUserMessage {
                content: frame.body::<InjectUserMessage>()?.content,
            },
            "FunctionCallResponse" => Self::FunctionCallResponse(frame.body()?),
            "KeepAlive" => Self::KeepAlive,
            "ForceEndTurn" => Self::ForceEndTurn,
            _ => Self::Unknown {
                kind: frame.kind.into_owned(),
            },
        })
    }

    /// The text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("JSON values always serialize")
    }
}

/// What is to become of an injected message while someone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behavior {
    /// It is refused while anyone is in a turn.
    Default,
    /// It is said after what the agent is saying; refused while the user speaks.
    Queue,
    /// It is said at once.
    Interrupt,
}

/// A function that the model calls.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// Names the call in its answer.
    pub id: String,
    /// Of the function.
    pub name: String,
    /// JSON text, as the model wrote it: it may be anything.
    #[serde(default, deserialize_with = "json_text")]
    pub arguments: String,
    /// Whether the client is to answer; else Deepgram calls the function's endpoint itself.
    #[serde(default = "yes")]
    pub client_side: bool,
    /// Goes back with the answer, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<String>,
}

/// A function call that was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelledFunction {
    /// Of the call.
    pub id: String,
    /// Of the function.
    #[serde(default)]
    pub name: String,
}

/// What a function answered: from the client for the functions of its side, from Deepgram for
/// the others.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCallResponse {
    /// Of the call; a client has to name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of the function.
    #[serde(default)]
    pub name: String,
    /// For the model: any text, mostly JSON.
    #[serde(default)]
    pub content: String,
    /// That of the call, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<String>,
}

/// What the first audio of an answer has taken, in seconds from the end of the user's turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentStartedSpeaking {
    /// All of it.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub total_latency: Option<f64>,
    /// Text to speech.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub tts_latency: Option<f64>,
    /// Text to text: the model.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub ttt_latency: Option<f64>,
}

/// What a part of an answer has taken, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencyReport {
    /// Speech to text.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub stt_latency: Option<f64>,
    /// The model's first token.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub ttt_token_latency: Option<f64>,
    /// The model's first text.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub ttt_text_latency: Option<f64>,
    /// The model's first function call.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub ttt_tool_latency: Option<f64>,
    /// The model's first thought.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub ttt_thinking_latency: Option<f64>,
    /// Text to speech.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub tts_latency: Option<f64>,
    /// All of it.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub total_latency: Option<f64>,
}

/// A piece of a conversation: in an echo, and in `agent.context.messages` of `Settings`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HistoryItem {
    /// What was said.
    Text {
        /// Who.
        role: Role,
        /// The text.
        content: String,
    },
    /// What was called, and what came of it.
    FunctionCalls {
        /// Called at the same time.
        function_calls: Vec<FunctionRecord>,
    },
}

/// A function call and its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Of the call.
    pub id: String,
    /// Of the function.
    pub name: String,
    /// Whether the client answered.
    #[serde(default = "yes")]
    pub client_side: bool,
    /// JSON text.
    #[serde(default, deserialize_with = "json_text")]
    pub arguments: String,
    /// The answer.
    #[serde(default)]
    pub response: String,
}

/// A warning or an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notice {
    /// In capitals, such as `CLIENT_MESSAGE_TIMEOUT`.
    pub code: String,
    /// A sentence.
    pub description: String,
}

/// A text frame whose type is known.
struct Frame<'a> {
    text: &'a str,
    kind: Cow<'a, str>,
}

impl<'a> Frame<'a> {
    fn of(text: &'a str) -> Result<Self, MessageError> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        let head: Head<'a> =
            serde_json::from_str(text).map_err(|source| MessageError { kind: None, source })?;
        Ok(Self {
            text,
            kind: head.kind,
        })
    }

    fn body<T: Deserialize<'a>>(&self) -> Result<T, MessageError> {
        serde_json::from_str(self.text).map_err(|source| MessageError {
            kind: Some(self.kind.to_string()),
            source,
        })
    }
}

/// Seconds as Deepgram tells them: a number, or by some of its descriptions a string. What is
/// neither is unknown.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(seconds.filter(|seconds| seconds.is_finite()))
}

/// Arguments as JSON text, be they given as text or as what the text would say.
fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}

const fn yes() -> bool {
    true
}
