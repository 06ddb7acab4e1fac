//! Functions that were called, and what they answered.

use std::time::{Duration, Instant};

use sidetone_deepgram::agent::message::{
    CancelledFunction, FunctionCall, FunctionCallResponse, FunctionRecord, HistoryItem,
    ServerMessage,
};

use super::mind::{Mind, Thought};
use crate::dice::Dice;

/// Functions that were called at the same time, for one answer.
#[derive(Debug)]
pub(super) struct Calling {
    pub(super) thought: Thought,
    /// When the user had asked.
    pub(super) asked_at: Instant,
    /// The user's turn is not sure yet.
    pub(super) is_speculative: bool,
    calls: Vec<Call>,
    /// When what has not answered is given up.
    gives_up_at: Instant,
    /// When they are cancelled and called anew.
    pub(super) renews_at: Option<Instant>,
}

#[derive(Debug)]
struct Call {
    asked: FunctionCall,
    response: Option<String>,
}

impl Calling {
    /// The calls that `thought` asks for; the name of a function that is not declared, if there
    /// is one.
    pub(super) fn new(
        thought: Thought,
        mind: &Mind,
        asked_at: Instant,
        now: Instant,
        dice: &mut Dice,
    ) -> Result<Self, String> {
        let calls = thought.calls.iter().map(|(name, arguments)| {
            let function = mind.function(name).ok_or_else(|| name.clone())?;
            let asked = FunctionCall {
                id: dice.uuid(),
                name: name.clone(),
                arguments: arguments.to_string(),
                client_side: function.client_side,
                thought_signature: None,
            };
            Ok(Call {
                asked,
                response: None,
            })
        });
        Ok(Self {
            calls: calls.collect::<Result<_, String>>()?,
            asked_at,
            is_speculative: false,
            gives_up_at: now + PATIENCE,
            renews_at: None,
            thought,
        })
    }

    pub(super) fn request(&self) -> ServerMessage {
        let functions = self.calls.iter().map(|call| call.asked.clone());
        ServerMessage::FunctionCallRequest {
            functions: functions.collect(),
        }
    }

    pub(super) fn cancellation(&self) -> ServerMessage {
        let functions = self.calls.iter().map(|call| CancelledFunction {
            id: call.asked.id.clone(),
            name: call.asked.name.clone(),
        });
        ServerMessage::FunctionCallCancelled {
            functions: functions.collect(),
        }
    }

    /// The ids of the calls.
    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.calls.iter().map(|call| &call.asked.id)
    }

    /// Makes the same calls under other ids.
    pub(super) fn renew(&mut self, dice: &mut Dice) {
        self.renews_at = None;
        for call in &mut self.calls {
            call.asked.id = dice.uuid();
            call.response = None;
        }
    }

    /// Takes an answer, if it is that of one of these calls.
    pub(super) fn respond(&mut self, response: &FunctionCallResponse) -> bool {
        let open = self.calls.iter_mut().find(|call| {
            call.response.is_none()
                && Some(&call.asked.id) == response.id.as_ref()
                && call.asked.name == response.name
                && call.asked.client_side
        });
        let taken = open.map(|call| call.response = Some(response.content.clone()));
        taken.is_some()
    }

    /// When something is to be done about the calls; `None`: all have been answered.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_open = self.calls.iter().any(|call| call.response.is_none());
        let gives_up_at = is_open.then_some(self.gives_up_at);
        self.renews_at.into_iter().chain(gives_up_at).min()
    }

    /// Whether they are to be cancelled and called anew.
    pub(super) fn is_to_be_renewed(&self, now: Instant) -> bool {
        self.renews_at.is_some_and(|at| at <= now)
    }

    /// Answers for Deepgram, of functions with an endpoint: here none is asked.
    pub(super) fn answer_own(&mut self) -> Vec<ServerMessage> {
        let own = self
            .calls
            .iter_mut()
            .filter(|call| !call.asked.client_side && call.response.is_none());
        own.map(|call| {
            call.response = Some(NO_ENDPOINTS.to_owned());
            ServerMessage::FunctionCallResponse(FunctionCallResponse {
                id: Some(call.asked.id.clone()),
                name: call.asked.name.clone(),
                content: NO_ENDPOINTS.to_owned(),
                thought_signature: None,
            })
        })
        .collect()
    }

    /// Stops waiting when it is time; answers the names of the functions that did not answer.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<String> {
        if self.gives_up_at > now {
            return Vec::new();
        }
        let open = self.calls.iter_mut().filter(|call| call.response.is_none());
        open.map(|call| {
            call.response = Some("there was no answer".to_owned());
            call.asked.name.clone()
        })
        .collect()
    }

    /// What was answered, once all is.
    pub(super) fn results(&self) -> Option<Vec<&str>> {
        self.calls
            .iter()
            .map(|call| call.response.as_deref())
            .collect()
    }

    /// As it is echoed.
    pub(super) fn history(&self) -> ServerMessage {
        let record = |call: &Call| FunctionRecord {
            id: call.asked.id.clone(),
            name: call.asked.name.clone(),
            client_side: call.asked.client_side,
            arguments: call.asked.arguments.clone(),
            response: call.response.clone().unwrap_or_default(),
        };
        ServerMessage::History(HistoryItem::FunctionCalls {
            function_calls: self.calls.iter().map(record).collect(),
        })
    }
}

/// How long a function may take.
const PATIENCE: Duration = Duration::from_secs(30);

const NO_ENDPOINTS: &str = "the emulator asks no endpoints";
