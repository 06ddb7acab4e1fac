use sidetone_deepgram::listen::message::{CLOSE_STREAM, FINALIZE, KEEP_ALIVE};

use super::*;
use crate::voice::speak;

/// A session and a clock that is moved by hand.
struct Line {
    session: Session,
    opened: Instant,
    now: Instant,
    /// What was sent, with the time since the opening.
    sent: Vec<(Duration, Output)>,
}

impl Line {
    fn open(query: &str) -> Self {
        let query = format!("encoding=mulaw&sample_rate=8000&{query}");
        let identity = Identity {
            request_id: "id".into(),
            created: "2026-01-01T00:00:00Z".into(),
        };
        let now = Instant::now();
        let session = Session::new(&Query::parse(&query).unwrap(), identity, 3, now);
        Self {
            session,
            opened: now,
            now,
            sent: Vec::new(),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        while let Some(output) = self.session.poll_output() {
            self.sent.push((self.now - self.opened, output));
        }
    }

    fn audio(&mut self, audio: &[u8]) {
        self.handle(Input::Audio(Bytes::copy_from_slice(audio)));
    }

    fn text(&mut self, text: &str) {
        self.handle(Input::Text(text));
    }

    /// Lets time pass, as far as `duration`.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.handle(Input::Timeout);
        }
        self.now = end;
    }

    /// Audio as it comes from a telephone, 20 ms at a time.
    fn live(&mut self, audio: &[u8]) {
        for frame in audio.chunks(160) {
            self.pass(Duration::from_millis(20));
            self.audio(frame);
        }
    }

    fn messages(&self) -> Vec<ServerMessage> {
        let texts = self.sent.iter().filter_map(|(_, output)| match output {
            Output::Text(text) => Some(ServerMessage::parse(text).unwrap()),
            Output::Close(_) => None,
        });
        texts.collect()
    }

    fn transcripts(&self) -> Vec<String> {
        let heard = self
            .messages()
            .into_iter()
            .filter_map(|message| match message {
                ServerMessage::Results(results) => Some(results.heard()?.transcript.clone()),
                _ => None,
            });
        heard.collect()
    }

    fn closed(&self) -> Option<(Duration, Close)> {
        match self.sent.last() {
            Some((at, Output::Close(close))) => Some((*at, *close)),
            _ => None,
        }
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_result_leaves_a_fraction_of_a_second_after_its_audio_came() {
    let mut line = Line::open("endpointing=300");
    let speech = speak("Hello").ulaw;
    line.live(&speech);
    line.live(&[0xFF; 8_000]);
    let [(at, Output::Text(_))] = &line.sent[..] else {
        panic!("{:?}", line.sent)
    };
    let endpoint = Duration::from_millis(speech.len() as u64 / 8 + 300);
    let latency = *at - endpoint;
    // Speech is told from silence by whole frames.
    assert!((200..=440).contains(&latency.as_millis()), "{latency:?}");
}

#[test]
fn a_backlog_is_processed_no_faster_than_deepgram_does() {
    let mut line = Line::open("");
    for _ in 0..40 {
        line.audio(&[0xFF; 2_000]);
    }
    line.text(CLOSE_STREAM);
    line.pass(secs(60));
    let (at, _) = line.closed().unwrap();
    assert!(
        (8_000..=8_500).contains(&at.as_millis()),
        "10 s at 1.25 times real time: {at:?}"
    );
}

#[test]
fn close_stream_brings_the_last_final_the_summary_and_a_normal_close() {
    let mut line = Line::open("");
    line.audio(&speak("Goodbye").ulaw);
    line.text(CLOSE_STREAM);
    line.audio(&speak("Hello").ulaw);
    line.pass(secs(5));
    assert_eq!(line.transcripts(), ["goodbye"]);
    assert!(matches!(
        line.messages()[..],
        [ServerMessage::Results(_), ServerMessage::Metadata(_)]
    ));
    assert_eq!(line.closed().unwrap().1, NORMAL);
}

#[test]
fn an_empty_binary_frame_ends_the_stream() {
    let mut line = Line::open("");
    line.audio(&speak("Goodbye").ulaw);
    line.audio(&[]);
    line.pass(secs(5));
    assert_eq!(line.transcripts(), ["goodbye"]);
    assert_eq!(line.closed().unwrap().1, NORMAL);
}

#[test]
fn finalize_waits_for_the_audio_before_it() {
    let mut line = Line::open("endpointing=false");
    line.audio(&[0xFF; 16_000]);
    line.audio(&speak("Yes please").ulaw);
    line.text(FINALIZE);
    line.pass(secs(9));
    assert_eq!(line.transcripts(), ["yes please"]);
}

#[test]
fn a_silent_client_is_given_up() {
    let mut line = Line::open("");
    line.pass(secs(60));
    assert_eq!(line.sent, [(IDLE_LIMIT, Output::Close(Close::NET_0001))]);
}

#[test]
fn keep_alives_without_any_audio_do_not_help() {
    let mut line = Line::open("");
    for _ in 0..6 {
        line.pass(secs(4));
        line.text(KEEP_ALIVE);
    }
    assert_eq!(line.sent, [(IDLE_LIMIT, Output::Close(Close::NET_0001))]);
}

#[test]
fn keep_alives_after_audio_keep_the_stream() {
    let mut line = Line::open("");
    line.audio(&[0xFF; 160]);
    for _ in 0..6 {
        line.pass(secs(9));
        line.text(KEEP_ALIVE);
    }
    assert_eq!(line.closed(), None);
    line.pass(secs(11));
    assert_eq!(line.closed(), Some((secs(64), Close::NET_0001)));
}

#[test]
fn text_that_is_no_message_is_answered_and_survived() {
    let mut line = Line::open("");
    line.audio(&[0xFF; 160]);
    line.text("hello?");
    line.audio(&speak("Yes").ulaw);
    line.text(CLOSE_STREAM);
    line.pass(secs(5));
    let ServerMessage::Error(error) = &line.messages()[0] else {
        panic!("{:?}", line.sent)
    };
    assert_eq!(error.variant.as_deref(), Some("SchemaError"));
    assert_eq!(error.message.as_deref(), Some("hello?"));
    assert_eq!(line.transcripts(), ["yes"]);
}

#[test]
fn a_flood_makes_the_client_wait() {
    let mut line = Line::open("");
    while !line.session.is_full() {
        assert!(line.session.waiting_audio_bytes <= MAX_WAITING_AUDIO_BYTES);
        line.audio(&[0xFF; 100_000]);
    }
    line.pass(secs(30));
    assert!(!line.session.is_full());

    let mut line = Line::open("");
    for _ in 0..=MAX_WAITING {
        line.text("garbage");
    }
    assert!(line.session.is_full());
}
