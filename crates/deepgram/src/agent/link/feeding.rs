//! The caller's audio on its way to a session.

use std::time::Instant;

use bytes::Bytes;
use sidetone_audio::{Block, ulaw};

use super::session::Upkeep;
use super::{AgentLink, Output, State};
use crate::agent::message::ClientMessage;

impl AgentLink {
    /// Takes the next audio of the caller. It is sent in pieces of 20 to 100 ms; while no session
    /// runs, the newest 30 s are kept. No allocation for a block of that size in a running session,
    /// and one copy: what was said and has not come back as text is kept for another session.
    pub fn hear(&mut self, now: Instant, block: Block) {
        match &self.state {
            State::Live(_) => {}
            State::Closed => return,
            State::Connecting { .. }
            | State::Welcoming { .. }
            | State::Settling { .. }
            | State::Reconnecting { .. } => {
                self.kept.push(&block);
                return;
            }
        }
        match self.kept.pass(block) {
            Ok(audio) => self.send_audio(now, audio),
            Err(block) => {
                self.kept.push(&block);
                self.feed(now);
            }
        }
        self.advance(now);
    }

    /// Sends what was kept of the caller, if a session runs.
    pub(super) fn feed(&mut self, now: Instant) {
        while matches!(self.state, State::Live(_))
            && let Some(audio) = self.kept.piece()
        {
            self.send_audio(now, audio);
        }
    }

    /// Does what keeps a session up.
    pub(super) fn keep_up(&mut self, now: Instant) {
        while let State::Live(session) = &mut self.state
            && let Some(upkeep) = session.upkeep(now)
        {
            let generation = self.generation;
            match upkeep {
                Upkeep::Ping => self.outputs.push_back(Output::Ping { generation }),
                Upkeep::Silence => {
                    let audio = self.kept.silence();
                    self.listen_to(now, &audio);
                    self.outputs
                        .push_back(Output::SendAudio { generation, audio });
                }
                Upkeep::KeepAlive => self.send(&ClientMessage::KeepAlive),
            }
        }
    }

    fn send_audio(&mut self, now: Instant, audio: Bytes) {
        self.listen_to(now, &audio);
        if let State::Live(session) = &mut self.state {
            session.fed(now);
        }
        let generation = self.generation;
        self.outputs
            .push_back(Output::SendAudio { generation, audio });
    }

    /// Notes what a session is sent.
    fn listen_to(&mut self, now: Instant, audio: &[u8]) {
        for piece in audio.chunks(PIECE) {
            let is_loud = ulaw::level_dbov(piece) > LOUD_DBOV;
            self.unheard.sent(piece, is_loud);
            // The agent's own voice may come back from the caller's end.
            if is_loud && !self.is_speaking {
                let samples = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                self.owed.loud(now, samples);
            }
        }
    }
}

/// 20 ms.
const PIECE: usize = 160;
/// Speech on a telephone line is 15 to 30 dB louder, the line itself softer.
const LOUD_DBOV: f32 = -45.0;
