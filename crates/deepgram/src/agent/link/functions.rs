//! Function calls that wait for their answers.

use crate::agent::message::{FunctionCall, FunctionRecord};

/// The newest function calls that were asked for and not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    call: FunctionCall,
    asker: Asker,
}

/// Who called a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The session that runs; it waits for the answer.
    Running,
    /// A session that is gone.
    Gone,
    /// Whoever it was, the call was revoked.
    Revoked,
}

/// A function call with its answer.
pub(super) struct Answered {
    pub(super) record: FunctionRecord,
    pub(super) thought_signature: Option<String>,
    pub(super) asker: Asker,
}

impl Calls {
    pub(super) fn requested(&mut self, call: FunctionCall) {
        self.calls.retain(|known| known.call.id != call.id);
        self.calls.push(Call {
            call,
            asker: Asker::Running,
        });
        if self.calls.len() > MOST_CALLS {
            self.calls.remove(0);
        }
    }

    /// Whether the call was open and of the client's side. It may have been done all the same, so
    /// its answer is still of interest.
    pub(super) fn cancelled(&mut self, id: &str) -> bool {
        let call = self.calls.iter_mut().find(|call| call.call.id == id);
        call.is_some_and(|call| {
            let asker = std::mem::replace(&mut call.asker, Asker::Revoked);
            asker == Asker::Running && call.call.client_side
        })
    }

    /// The session that asked is gone. What it was doing itself is given back as it was left.
    pub(super) fn forsaken(&mut self) -> Vec<FunctionRecord> {
        let theirs = |call: &mut Call| call.asker == Asker::Running && !call.call.client_side;
        let theirs = self.calls.extract_if(.., theirs);
        let left = theirs.map(|call| record(call.call, LEFT)).collect();
        for call in &mut self.calls {
            if call.asker == Asker::Running {
                call.asker = Asker::Gone;
            }
        }
        left
    }

    /// The calls of sessions that are gone which are still being answered.
    pub(super) fn under_way(&self) -> impl Iterator<Item = FunctionRecord> {
        let gone = self.calls.iter().filter(|call| call.asker == Asker::Gone);
        gone.map(|call| record(call.call.clone(), UNDER_WAY))
    }

    /// Whether this is one of those.
    pub(super) fn is_under_way(&self, id: &str) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| call.asker == Asker::Gone && call.call.id == id)
    }

    pub(super) fn answered(&mut self, id: &str, response: &str) -> Option<Answered> {
        let index = self.calls.iter().position(|call| call.call.id == id)?;
        let Call { mut call, asker } = self.calls.remove(index);
        let thought_signature = call.thought_signature.take();
        Some(Answered {
            record: record(call, response),
            thought_signature,
            asker,
        })
    }

    /// Whether the session that runs waits for an answer.
    pub(super) fn is_any_open(&self) -> bool {
        self.calls.iter().any(|call| call.asker == Asker::Running)
    }
}

fn record(call: FunctionCall, response: &str) -> FunctionRecord {
    FunctionRecord {
        id: call.id,
        name: call.name,
        client_side: call.client_side,
        arguments: call.arguments,
        response: response.to_owned(),
    }
}

/// For the model: nobody calls a function again that is being done.
const UNDER_WAY: &str = "This is being done. What comes of it will be told as soon as it is known.";
/// For the model.
const LEFT: &str = "The connection was lost meanwhile: whether this was done is not known.";

const MOST_CALLS: usize = 32;
