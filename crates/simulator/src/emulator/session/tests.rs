use sidetone_deepgram::listen::message::{CLOSE_STREAM, FINALIZE, KEEP_ALIVE, Results};

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
        Self::flawed(query, &Flaws::default())
    }

    fn flawed(query: &str, flaws: &Flaws) -> Self {
        let query = format!("encoding=mulaw&sample_rate=8000&{query}");
        let identity = Identity {
            request_id: "id".into(),
            created: "2026-01-01T00:00:00Z".into(),
        };
        let now = Instant::now();
        let session = Session::new(&Query::parse(&query).unwrap(), identity, flaws, 3, now);
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
            _ => None,
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

/// A line whose stream has what these faults ask for.
fn faulty(query: &str, written: &[&str]) -> Line {
    let faults = Faults::new(written.iter().map(|text| text.parse().unwrap()).collect());
    let flaws = faults.at_opening(&Caller::default());
    Line::flawed(query, &flaws)
}

/// What is told of someone who says these words and then nothing for 3 s.
fn said(query: &str, written: &[&str], words: &str) -> Line {
    let mut line = faulty(query, written);
    line.live(&speak(words).ulaw);
    line.live(&[0xFF; 24_000]);
    line.text(CLOSE_STREAM);
    line.pass(secs(10));
    line
}

fn outputs(line: &Line) -> Vec<&Output> {
    line.sent.iter().map(|(_, output)| output).collect()
}

#[test]
fn an_accident_comes_at_its_time_and_ends_the_stream() {
    let at = Duration::from_millis(1_500);
    for (name, expected) in [
        ("drop", Output::Break),
        ("stall", Output::Freeze),
        ("net0000", Output::Close(Close::NET_0000)),
        ("net0001", Output::Close(Close::NET_0001)),
        ("data0000", Output::Close(Close::DATA_0000)),
    ] {
        let mut line = faulty("", &[&format!("{name}:after_ms=1500")]);
        line.live(&[0xFF; 8_000]);
        line.pass(secs(60));
        assert_eq!(line.sent, [(at, expected)], "{name}");
    }
}

#[test]
fn an_accident_does_not_wait_for_what_waits_to_be_told() {
    let mut line = faulty("endpointing=100", &["drop:after_ms=3000"]);
    // The final is due at about the time of the accident, and leaves later.
    line.pass(Duration::from_millis(2_900));
    line.audio(&speak("Hello").ulaw);
    line.audio(&[0xFF; 1_600]);
    line.pass(secs(60));
    assert_eq!(outputs(&line), [&Output::Break]);
}

#[test]
fn an_unasked_end_looks_like_that_of_a_stream_without_audio() {
    let mut line = faulty("", &["unasked-end:after_ms=500"]);
    line.live(&speak("Hello").ulaw);
    line.pass(secs(60));
    let [ServerMessage::Metadata(metadata)] = &line.messages()[..] else {
        panic!("{:?}", line.sent)
    };
    assert_eq!((metadata.duration, metadata.channels), (0.0, 0));
    assert_eq!(line.closed().unwrap().1, NORMAL);
}

#[test]
fn a_deaf_stream_takes_all_and_tells_nothing() {
    let mut line = faulty("endpointing=100", &["deaf:after_ms=2000"]);
    line.live(&speak("Hello").ulaw);
    line.live(&[0xFF; 4_000]);
    line.pass(secs(2));
    let told = line.sent.len();
    assert!(told > 0);
    line.live(&speak("Is anybody there?").ulaw);
    line.text("nonsense");
    line.text(CLOSE_STREAM);
    line.pass(secs(60));
    assert_eq!(line.sent.len(), told);
}

#[test]
fn a_deaf_stream_can_still_be_dropped() {
    let mut line = faulty("", &["deaf:after_ms=0", "drop:after_ms=1000"]);
    line.pass(secs(60));
    assert_eq!(line.sent, [(secs(1), Output::Break)]);
}

#[test]
fn a_stream_can_be_struck_while_it_is_open() {
    let mut line = Line::open("");
    line.audio(&[0xFF; 160]);
    line.pass(secs(5));
    let faults = Faults::new(vec!["drop:after_ms=2000".parse().unwrap()]);
    line.session.strike(line.now, &faults);
    line.handle(Input::Timeout);
    line.pass(secs(60));
    assert_eq!(line.sent, [(secs(7), Output::Break)]);
}

#[test]
fn one_final_with_words_is_broken_as_it_was_asked_for() {
    for form in ["truncated", "garbage", "binary"] {
        let fault = format!("malformed:form={form},after_ms=0");
        let mut line = faulty("endpointing=100", &[&fault]);
        line.live(&[0xFF; 48_000]);
        for words in ["Hello.", "Goodbye."] {
            line.live(&speak(words).ulaw);
            line.live(&[0xFF; 8_000]);
        }
        let broken = |output: &&Output| match output {
            Output::Text(text) => ServerMessage::parse(text).is_err(),
            Output::Binary(_) => true,
            Output::Close(_) | Output::Break | Output::Freeze => false,
        };
        let (broken, whole): (Vec<_>, Vec<_>) = outputs(&line).into_iter().partition(broken);
        assert_eq!(broken.len(), 1, "{form}");
        assert_eq!(matches!(broken[0], Output::Binary(_)), form == "binary");
        let whole: Vec<String> = whole
            .into_iter()
            .map(|output| format!("{output:?}"))
            .collect();
        assert!(whole.iter().any(|text| text.contains("goodbye")), "{form}");
        assert!(!whole.iter().any(|text| text.contains("hello")), "{form}");
    }
}

#[test]
fn a_stream_may_end_without_its_finals_or_never() {
    let mut line = faulty("", &["close-without-finals"]);
    line.audio(&speak("Goodbye").ulaw);
    line.text(CLOSE_STREAM);
    line.pass(secs(60));
    assert_eq!(outputs(&line), [&Output::Close(NORMAL)]);

    let mut line = faulty("", &["close-unanswered"]);
    line.audio(&speak("Goodbye").ulaw);
    line.text(CLOSE_STREAM);
    line.pass(secs(60));
    assert_eq!(line.sent, []);
}

#[test]
fn a_slow_stream_tells_the_same_later() {
    let (usual, slow) = (
        said("", &[], "Hello, is anybody there?"),
        said("", &["slow:ms=3000"], "Hello, is anybody there?"),
    );
    assert_eq!(outputs(&usual), outputs(&slow));
    for ((usual, _), (slow, _)) in usual.sent.iter().zip(&slow.sent) {
        let later = *slow - *usual;
        assert!((2_800..=3_200).contains(&later.as_millis()), "{later:?}");
    }
}

#[test]
fn channels_overtake_each_other_and_keep_their_own_order() {
    let query = "channels=2&multichannel=true&interim_results=true&vad_events=true";
    let speech = speak("One two three four five six seven eight nine ten. Is anybody there?").ulaw;
    let stereo: Vec<u8> = speech.iter().flat_map(|&code| [code, code]).collect();
    let told = |written: &[&str]| -> Vec<Results> {
        let mut line = faulty(query, written);
        for frame in stereo.chunks(320) {
            line.pass(Duration::from_millis(20));
            line.audio(frame);
        }
        line.text(CLOSE_STREAM);
        line.pass(secs(10));
        assert_eq!(line.closed().unwrap().1, NORMAL);
        let mut messages = line.messages();
        assert!(matches!(messages.pop(), Some(ServerMessage::Metadata(_))));
        let results = messages.into_iter().filter_map(|message| match message {
            ServerMessage::Results(results) => Some(results),
            _ => None,
        });
        results.collect()
    };
    let (usual, reordered) = (told(&[]), told(&["reordered-channels"]));
    assert_ne!(usual, reordered);
    for channel in [0, 1] {
        let of_channel = |results: &&Results| results.channel_index.index == channel;
        let own = |all: &[Results]| all.iter().filter(of_channel).cloned().collect::<Vec<_>>();
        assert_eq!(own(&usual), own(&reordered));
    }
}
