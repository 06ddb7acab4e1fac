use proptest::prelude::*;

use super::*;
use crate::event::{AgentPlayback, AudioLevel, CallProgress, SpeechMark, Transcript};

fn call_sid() -> CallSid {
    "CA0123456789abcdef0123456789abcdef".parse().unwrap()
}

fn transcript(track: Track, text: &str) -> Transcript {
    Transcript {
        track,
        channel: track.index(),
        start_ms: 0,
        end_ms: 20,
        text: text.into(),
        confidence: 1.0,
        speech_final: false,
        latency_ms: None,
        words: Vec::new(),
    }
}

fn speech(at_ms: u64) -> EventData {
    EventData::SpeechStarted(SpeechMark {
        track: Track::Inbound,
        at_ms,
    })
}

fn final_of(track: Track, text: &str) -> EventData {
    EventData::TranscriptFinal(Box::new(transcript(track, text)))
}

fn interim(transcript: Transcript) -> VolatileData {
    VolatileData::TranscriptInterim(Box::new(transcript))
}

/// A reader who asks for all there is.
fn watching() -> Cursor {
    Cursor {
        watch: Watch {
            playback: true,
            levels: true,
        },
        ..Cursor::default()
    }
}

fn ended() -> EventData {
    EventData::CallEnded(Box::new(crate::tests::call()))
}

/// A log with its clock stopped.
struct Log(EventLog);

impl Log {
    fn new() -> Self {
        Self(EventLog::new(call_sid(), 0))
    }

    fn append(&mut self, data: EventData) -> u64 {
        self.0.append(Timestamp::UNIX_EPOCH, data).event.seq
    }

    fn write(&mut self, data: EventData) -> u64 {
        let seq = self.append(data);
        self.0.stored(seq);
        seq
    }

    fn show(&mut self, data: VolatileData) {
        self.0.show(Timestamp::UNIX_EPOCH, data);
    }

    fn interim(&mut self, track: Track, text: &str) {
        self.show(interim(transcript(track, text)));
    }

    fn playback(&mut self, heard_text: &str) {
        self.show(VolatileData::AgentPlayback(AgentPlayback {
            turn: 2,
            heard_ms: 400,
            heard_text: heard_text.into(),
        }));
    }

    fn level(&mut self, inbound: f32) {
        self.show(VolatileData::AudioLevel(AudioLevel {
            inbound,
            outbound: -127.0,
        }));
    }

    /// What a read gives, in short: `1` for an event, `~text` for what is volatile, `-n` for
    /// skipped interims.
    fn read(&self, cursor: &mut Cursor) -> String {
        match self.0.read(cursor, 100) {
            Read::Items { items, skipped } => {
                let mut words: Vec<_> = items
                    .iter()
                    .map(|item| match item {
                        Item::Event(entry) => entry.event.seq.to_string(),
                        Item::Volatile(volatile) => match &volatile.data {
                            VolatileData::TranscriptInterim(it) => format!("~{}", it.text),
                            VolatileData::AgentPlayback(it) => format!("~{}", it.heard_text),
                            VolatileData::AudioLevel(it) => format!("~{}", it.inbound),
                        },
                    })
                    .collect();
                if skipped > 0 {
                    words.push(format!("-{skipped}"));
                }
                words.join(" ")
            }
            Read::Behind { first } => format!("behind {first}"),
            Read::Waiting => "waiting".into(),
            Read::Ended => "ended".into(),
        }
    }
}

#[test]
fn an_event_is_visible_only_once_it_is_stored() {
    let mut log = Log::new();
    let mut cursor = Cursor::default();
    log.append(speech(1));
    log.append(speech(2));
    assert_eq!(log.read(&mut cursor), "waiting");
    log.0.stored(1);
    assert_eq!(log.read(&mut cursor), "1");
    assert_eq!(log.0.last_seq(), 1);
    log.0.stored(2);
    assert_eq!(log.read(&mut cursor), "2");
    assert_eq!(log.read(&mut cursor), "waiting");
}

#[test]
fn while_the_archive_is_away_events_are_shown_and_kept_until_they_are_stored() {
    let mut log = Log::new();
    let mut cursor = Cursor::default();
    log.append(speech(1));
    log.interim(Track::Inbound, "hel");
    log.0.show_unstored();
    assert_eq!(log.read(&mut cursor), "1 ~hel");
    assert_eq!((log.0.last_seq(), log.0.first_unstored()), (1, Some(1)));

    let events = 2 * KEPT_EVENTS as u64;
    for at_ms in 2..=events {
        log.append(speech(at_ms));
    }
    log.0.show_unstored();
    let mut late = Cursor::default();
    assert_eq!(log.read(&mut late).split(' ').next(), Some("1"));

    log.0.stored(events);
    assert_eq!(log.0.first_unstored(), None);
    let first = events - KEPT_EVENTS as u64 + 1;
    assert_eq!(log.read(&mut Cursor::default()), format!("behind {first}"));
}

#[test]
fn an_interim_waits_for_the_events_before_it() {
    let mut log = Log::new();
    let mut cursor = Cursor::default();
    log.append(speech(1));
    log.interim(Track::Inbound, "hel");
    assert_eq!(log.read(&mut cursor), "waiting");
    log.0.stored(1);
    assert_eq!(log.read(&mut cursor), "1 ~hel");
    assert_eq!(log.read(&mut cursor), "waiting");
}

#[test]
fn a_slow_reader_gets_the_newest_interim_of_each_track() {
    let mut log = Log::new();
    let mut cursor = Cursor::default();
    log.interim(Track::Inbound, "a");
    assert_eq!(log.read(&mut cursor), "~a");
    log.interim(Track::Inbound, "a b");
    log.interim(Track::Outbound, "x");
    log.interim(Track::Inbound, "a b c");
    assert_eq!(log.read(&mut cursor), "~a b c ~x -1");
}

#[test]
fn a_final_empties_its_tracks_interim_at_once() {
    let mut log = Log::new();
    let mut cursor = Cursor::default();
    log.interim(Track::Inbound, "hel");
    log.interim(Track::Outbound, "good");
    let seq = log.append(final_of(Track::Inbound, "hello"));
    assert_eq!(log.read(&mut cursor), "~good", "before the final is stored");
    log.0.stored(seq);
    assert_eq!(log.read(&mut cursor), "1");
}

#[test]
fn an_emptied_interim_is_not_shown_but_counted() {
    let mut log = Log::new();
    let mut cursor = log.0.end();
    log.interim(Track::Inbound, "hm");
    log.0.withdraw_interim(Track::Inbound);
    assert_eq!(log.read(&mut cursor), "waiting");
    log.interim(Track::Inbound, "hello");
    assert_eq!(log.read(&mut cursor), "~hello -1");
}

#[test]
fn what_was_spoken_before_a_reader_came_is_not_skipped() {
    let mut log = Log::new();
    log.interim(Track::Inbound, "a");
    log.interim(Track::Inbound, "a b");
    assert_eq!(log.read(&mut Cursor::default()), "~a b");
    assert_eq!(log.read(&mut log.0.end()), "waiting");
}

#[test]
fn only_who_asks_for_the_playback_or_the_levels_gets_them() {
    let mut log = Log::new();
    log.playback("Good");
    log.level(-31.5);
    assert_eq!(log.read(&mut Cursor::default()), "waiting");
    assert_eq!(log.read(&mut log.0.end()), "waiting");
    assert_eq!(log.read(&mut watching()), "~Good ~-31.5");
    let mut cursor = watching();
    cursor.watch.levels = false;
    assert_eq!(log.read(&mut cursor), "~Good");
    assert_eq!(log.read(&mut cursor), "waiting");
}

#[test]
fn a_slow_reader_gets_the_newest_level_and_playback_and_has_skipped_no_interim() {
    let mut log = Log::new();
    let mut cursor = watching();
    log.write(speech(1));
    log.level(-31.5);
    assert_eq!(log.read(&mut cursor), "1 ~-31.5");
    log.playback("Good");
    log.level(-40.5);
    log.playback("Good morning");
    log.level(-50.5);
    assert_eq!(log.read(&mut cursor), "~Good morning ~-50.5");
    assert_eq!(log.read(&mut cursor), "waiting");
}

#[test]
fn what_is_volatile_stands_in_its_place_among_the_events() {
    let mut log = Log::new();
    let mut cursor = watching();
    log.append(speech(1));
    log.playback("Good morning");
    log.append(speech(2));
    log.level(-31.5);
    log.append(speech(3));
    assert_eq!(log.read(&mut cursor), "waiting", "nothing is stored");
    log.0.stored(3);
    assert_eq!(log.read(&mut cursor), "1 ~Good morning 2 ~-31.5 3");
    let mut late = watching();
    late.seq = 2;
    assert_eq!(log.read(&mut late), "~-31.5 3", "what is over is over");
}

#[test]
fn nothing_volatile_outlives_the_call() {
    let mut log = Log::new();
    log.playback("Good");
    log.level(-31.5);
    log.write(ended());
    let mut cursor = watching();
    assert_eq!(log.read(&mut cursor), "1");
    assert_eq!(log.read(&mut cursor), "ended");
}

#[test]
fn a_reader_ends_after_call_ended_and_goes_on_when_the_call_resumes() {
    let mut log = Log::new();
    let mut cursor = Cursor::default();
    log.interim(Track::Inbound, "by");
    log.write(ended());
    assert_eq!(log.read(&mut cursor), "1");
    assert_eq!(log.read(&mut cursor), "ended");
    assert_eq!(log.read(&mut log.0.end()), "ended");
    log.append(EventData::CallResumed(Box::new(crate::tests::call())));
    assert_eq!(log.read(&mut cursor), "waiting");
    log.0.stored(2);
    assert_eq!(log.read(&mut cursor), "2");
    assert_eq!(log.read(&mut cursor), "waiting");
}

#[test]
fn a_cursor_beyond_the_end_waits() {
    let mut log = Log::new();
    let mut cursor = Cursor {
        seq: 2,
        ..Cursor::default()
    };
    log.write(speech(1));
    log.interim(Track::Inbound, "hm");
    assert_eq!(log.read(&mut cursor), "waiting");
    log.write(speech(2));
    log.write(speech(3));
    assert_eq!(log.read(&mut cursor), "~hm 3");
}

#[test]
fn a_cursor_too_far_back_is_sent_to_the_archive() {
    let mut log = Log::new();
    let kept = KEPT_EVENTS as u64;
    for at in 0..kept + 10 {
        log.write(speech(at));
    }
    let mut cursor = Cursor::default();
    assert_eq!(log.read(&mut cursor), "behind 11");
    cursor.seq = 10;
    let Read::Items { items, .. } = log.0.read(&mut cursor, usize::MAX) else {
        panic!()
    };
    assert_eq!(items.len() as u64, kept);
    assert_eq!(cursor.seq, kept + 10);
}

#[test]
fn events_not_yet_stored_stay_however_many_they_are() {
    let mut log = Log::new();
    for at in 0..2 * KEPT_EVENTS as u64 {
        log.append(speech(at));
    }
    log.0.stored(1);
    assert_eq!(log.read(&mut Cursor::default()), "1");
}

#[test]
fn a_reopened_log_goes_on_counting() {
    let mut log = EventLog::new(call_sid(), 41);
    assert!(matches!(
        log.read(&mut Cursor::default(), 9),
        Read::Behind { first: 42 }
    ));
    let entry = log.append(
        Timestamp::UNIX_EPOCH,
        EventData::CallResumed(Box::new(crate::tests::call())),
    );
    assert_eq!(entry.event.seq, 42);
    let EventData::CallResumed(call) = &entry.event.data else {
        panic!()
    };
    assert_eq!(call.last_seq, 42);
}

#[test]
fn an_interim_looks_like_an_event_without_seq() {
    let mut log = EventLog::new(call_sid(), 16);
    let at = "2026-11-21T09:00:01.5Z".parse().unwrap();
    log.show(at, interim(transcript(Track::Outbound, "hel")));
    let mut cursor = Cursor {
        seq: 16,
        ..Cursor::default()
    };
    let Read::Items { items, .. } = log.read(&mut cursor, 1) else {
        panic!()
    };
    let Item::Volatile(interim) = &items[0] else {
        panic!()
    };
    assert_eq!(
        serde_json::to_string(&**interim).unwrap(),
        concat!(
            r#"{"after_seq":16,"call_sid":"CA0123456789abcdef0123456789abcdef","#,
            r#""at":"2026-11-21T09:00:01.500Z","type":"transcript.interim","#,
            r#""data":{"track":"outbound","channel":1,"start_ms":0,"end_ms":20,"text":"hel","#,
            r#""confidence":1.0,"speech_final":false,"latency_ms":null,"words":[]}}"#
        )
    );
}

#[test]
fn rendered_json_does_not_reach_debug() {
    let mut log = Log::new();
    let entry = log
        .0
        .append(Timestamp::UNIX_EPOCH, final_of(Track::Inbound, "secret"));
    entry.json.set(r#"{"text":"secret"}"#.into()).unwrap();
    log.interim(Track::Inbound, "secret");
    log.playback("secret");
    assert!(!format!("{:?}", log.0).contains("secret"));
}

/// What may happen to a log.
#[derive(Clone, Debug)]
enum Op {
    Append,
    Final(Track),
    Interim(Track),
    Empty(Track),
    /// Store this many of the events that wait.
    Store(u64),
    /// Let this reader read at most so many items.
    Read(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let track = || prop_oneof![Just(Track::Inbound), Just(Track::Outbound)];
    prop_oneof![
        Just(Op::Append),
        track().prop_map(Op::Final),
        track().prop_map(Op::Interim),
        track().prop_map(Op::Empty),
        (0..4_u64).prop_map(Op::Store),
        (0..READERS, 1..5_usize).prop_map(|(reader, max)| Op::Read(reader, max)),
    ]
}

const READERS: usize = 3;

/// A reader that checks what it is given.
#[derive(Default)]
struct Reader {
    cursor: Cursor,
    seq: u64,
    seen: u64,
    skipped: u64,
    /// Per track: how many interims the log had had when the last final that was read came.
    settled: [u64; 2],
}

impl Reader {
    /// Reads once; false when there was nothing.
    fn read(&mut self, log: &EventLog, max: usize, appended: &[EventData]) -> bool {
        let Read::Items { items, skipped } = log.read(&mut self.cursor, max) else {
            return false;
        };
        assert!((1..=max).contains(&items.len()));
        self.skipped += skipped;
        for item in items {
            match item {
                Item::Event(entry) => {
                    assert_eq!(entry.event.seq, self.seq + 1, "no hole, no repeat");
                    self.seq = entry.event.seq;
                    assert!(self.seq <= log.last_seq(), "not stored yet");
                    let index = usize::try_from(self.seq).unwrap() - 1;
                    assert_eq!(entry.event.data, appended[index]);
                    if let EventData::TranscriptFinal(last) = &entry.event.data {
                        self.settled[last.track.index()] = last.start_ms;
                    }
                }
                Item::Volatile(volatile) => {
                    assert!(volatile.after_seq <= self.seq);
                    let VolatileData::TranscriptInterim(transcript) = &volatile.data else {
                        panic!("not asked for: {volatile:?}")
                    };
                    let number = transcript.start_ms;
                    let settled = &mut self.settled[transcript.track.index()];
                    assert!(number > *settled, "older than what was read");
                    *settled = number;
                    self.seen += 1;
                }
            }
        }
        true
    }
}

proptest! {
    #[test]
    fn every_reader_reads_every_stored_event_once_whatever_its_pace(
        ops in proptest::collection::vec(op(), 0..200),
    ) {
        let mut log = EventLog::new(call_sid(), 0);
        let mut appended = Vec::new();
        let mut interims = [0_u64; 2];
        let mut readers: [Reader; READERS] = Default::default();
        for reader in &mut readers {
            // From here on an interim that a reader does not see is one it skipped.
            reader.cursor = log.end();
        }
        // The start of a transcript is its track's interim count, so that age can be compared.
        let numbered = |track: Track, number| Transcript { start_ms: number, ..transcript(track, "") };
        for op in ops {
            match op {
                Op::Append => {
                    let data = EventData::CallStatus(CallProgress {
                        status: "queued".into(),
                        sip_code: None,
                    });
                    appended.push(data.clone());
                    log.append(Timestamp::UNIX_EPOCH, data);
                }
                Op::Final(track) => {
                    let last = numbered(track, interims[track.index()]);
                    let data = EventData::TranscriptFinal(Box::new(last));
                    appended.push(data.clone());
                    log.append(Timestamp::UNIX_EPOCH, data);
                }
                Op::Interim(track) => {
                    interims[track.index()] += 1;
                    let data = interim(numbered(track, interims[track.index()]));
                    log.show(Timestamp::UNIX_EPOCH, data);
                }
                Op::Empty(track) => log.withdraw_interim(track),
                Op::Store(count) => log.stored(log.last_seq() + count),
                Op::Read(reader, max) => {
                    readers[reader].read(&log, max, &appended);
                }
            }
        }
        log.append(Timestamp::UNIX_EPOCH, speech(0));
        appended.push(speech(0));
        for track in Track::ALL {
            interims[track.index()] += 1;
            let data = interim(numbered(track, interims[track.index()]));
            log.show(Timestamp::UNIX_EPOCH, data);
        }
        log.stored(appended.len() as u64);
        for reader in &mut readers {
            while reader.read(&log, 3, &appended) {}
            prop_assert_eq!(reader.seq, appended.len() as u64);
            prop_assert_eq!(reader.seen + reader.skipped, interims.iter().sum::<u64>());
        }
    }
}
