//! Function calls that wait for their answers.

use std::collections::VecDeque;

use crate::agent::message::{FunctionCall, FunctionRecord};

/// The newest function calls that were asked for and not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: VecDeque<Call>,
}

#[derive(Debug)]
struct Call {
    call: FunctionCall,
    /// Whether the session that runs still waits for the answer.
    is_open: bool,
}

/// A function call with its answer.
pub(super) struct Answered {
    pub(super) record: FunctionRecord,
    pub(super) thought_signature: Option<String>,
    /// Whether the session that runs is to be told.
    pub(super) is_open: bool,
}

impl Calls {
    pub(super) fn requested(&mut self, call: FunctionCall) {
        self.calls.retain(|known| known.call.id != call.id);
        self.calls.push_back(Call {
            call,
            is_open: true,
        });
        if self.calls.len() > MOST_CALLS {
            self.calls.pop_front();
        }
    }

    /// Whether the call was open and of the client's side. It may have been done all the same, so
    /// its answer is still of interest.
    pub(super) fn cancelled(&mut self, id: &str) -> bool {
        let call = self.calls.iter_mut().find(|call| call.call.id == id);
        call.is_some_and(|call| {
            std::mem::replace(&mut call.is_open, false) && call.call.client_side
        })
    }

    /// The session that asked is gone.
    pub(super) fn forsaken(&mut self) {
        for call in &mut self.calls {
            call.is_open = false;
        }
    }

    pub(super) fn answered(&mut self, id: &str, response: &str) -> Option<Answered> {
        let index = self.calls.iter().position(|call| call.call.id == id)?;
        let Call { call, is_open } = self.calls.remove(index)?;
        Some(Answered {
            record: FunctionRecord {
                id: call.id,
                name: call.name,
                client_side: call.client_side,
                arguments: call.arguments,
                response: response.to_owned(),
            },
            thought_signature: call.thought_signature,
            is_open,
        })
    }

    pub(super) fn is_any_open(&self) -> bool {
        self.calls.iter().any(|call| call.is_open)
    }
}

const MOST_CALLS: usize = 32;
