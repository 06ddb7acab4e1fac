//! What is said into the call: fetched from Deepgram, sent to Twilio.

use std::task::{Context, Poll};

use futures_util::{SinkExt, StreamExt};
use sidetone_call::engine::{FetchKey, Fetched, StreamKey};
use sidetone_twilio::StreamSid;
use sidetone_twilio::stream::outgoing::{write_clear, write_mark, write_media};
use tokio_tungstenite::tungstenite::Message;

use super::{CallTask, Now};
use crate::calls::speaker::Speech;

/// Audio that is being fetched.
pub(super) struct SpeechFetch {
    fetch: FetchKey,
    speech: Speech,
}

impl CallTask {
    /// Takes at most one piece of audio; true when something came.
    pub(super) fn poll_speech(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(SpeechFetch { fetch, speech }) = &mut self.speech else {
            return false;
        };
        let Poll::Ready(received) = speech.poll_next_unpin(cx) else {
            return false;
        };
        let (now, fetch) = (Now::read(), *fetch);
        let fetched = match &received {
            Some(Ok(audio)) => Fetched::Audio(audio),
            Some(Err(reason)) => Fetched::Failed(reason),
            None => Fetched::End,
        };
        if !matches!(fetched, Fetched::Audio(_)) {
            self.speech = None;
        }
        self.engine
            .handle_fetched(now.std(), now.wall, fetch, fetched);
        true
    }

    /// Asks Deepgram to speak, in the profile's way but for the voice, if another one is named.
    pub(super) fn fetch(&mut self, fetch: FetchKey, text: &str, model: Option<&str>, keep: bool) {
        let profile = self.services.config.profiles.get(&self.profile);
        let speak = profile.and_then(|profile| profile.speak.as_ref());
        let mut params = speak.map(|speak| speak.params.clone()).unwrap_or_default();
        if let Some(model) = model {
            params
                .set("model", &[model])
                .expect("a voice is looked at before it is asked for");
        }
        let call_sid = Some(&self.call_sid);
        let speech = self.services.speaker.speak(call_sid, &params, text, keep);
        self.speech = Some(SpeechFetch { fetch, speech });
    }

    pub(super) fn drop_fetch(&mut self, fetch: FetchKey) {
        self.speech.take_if(|speech| speech.fetch == fetch);
    }

    pub(super) fn play(&mut self, stream: StreamKey, audio: &[u8]) {
        self.send(stream, |out, stream_sid| {
            write_media(out, stream_sid, audio);
        });
    }

    pub(super) fn mark(&mut self, stream: StreamKey, name: &str) {
        self.send(stream, |out, stream_sid| write_mark(out, stream_sid, name));
    }

    pub(super) fn clear(&mut self, key: StreamKey) {
        self.send(key, write_clear);
        let mut streams = self.streams.iter_mut();
        if let Some(stream) = streams.find(|stream| stream.key == key) {
            stream.clearing_since = self.link_event_read;
        }
    }

    fn send(&mut self, key: StreamKey, write: impl FnOnce(&mut String, &StreamSid)) {
        let mut streams = self.streams.iter_mut();
        let Some(stream) = streams.find(|stream| stream.key == key && !stream.leaving) else {
            return;
        };
        let mut text = String::new();
        write(&mut text, &stream.stream_sid);
        // What a socket does not take any more is told by reading, or by the next flush.
        stream.broken |= stream
            .socket
            .start_send_unpin(Message::Text(text.into()))
            .is_err();
        stream.unflushed = true;
    }
}
