//! A call beside those that are attacked, to see that it is not disturbed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::scripted::{Connection, METADATA, Scripted, results};
use crate::serve::{Serve, soon};
use crate::twilio::{Stream, call_sid};
use crate::web::{ended, words};

/// Its call, and with it its stream.
const CALL: u32 = 0xBE51DE;

const FRAME_BYTES: usize = 160;
const FRAME: Duration = Duration::from_millis(20);

/// How long it speaks before anything happens, to see what its audio usually takes.
const CALM: Duration = Duration::from_secs(1);

/// How many frames Deepgram hears between two words that it says.
const FRAMES_OF_A_WORD: u64 = 25;

/// A call that speaks in real time, with its connection to Deepgram.
pub(crate) struct Neighbour {
    stream: Stream,
    connection: Connection,
}

/// When each frame was sent, and how long the slowest took: in calm, and under attack.
#[derive(Default)]
struct Delays {
    sent: Mutex<Vec<Instant>>,
    is_attacked: AtomicBool,
    speaks: AtomicBool,
}

impl Neighbour {
    /// A live call; it takes the next connection to Deepgram.
    pub(crate) async fn start(serve: &Serve, deepgram: &Scripted) -> Self {
        let mut stream = Stream::start(&serve.ws("/twilio"), CALL, CALL, &["inbound"]).await;
        stream.media("inbound", 0, &frame(0)).await;
        let connection = deepgram.accept().await;
        Self { stream, connection }
    }

    /// Speaks before and during the attack. Every frame reaches Deepgram, in order and no later
    /// than usual, and each of Deepgram's words becomes a final.
    pub(crate) async fn bears<T>(self, serve: &Serve, attack: impl Future<Output = T>) -> T {
        let Self { stream, connection } = self;
        let delays = Arc::new(Delays::default());
        delays.speaks.store(true, Ordering::SeqCst);
        delays.sent.lock().unwrap().push(Instant::now());
        let speaking = tokio::spawn(speak(stream, Arc::clone(&delays)));
        let hearing = tokio::spawn(hear(connection, Arc::clone(&delays)));
        tokio::time::sleep(CALM).await;
        delays.is_attacked.store(true, Ordering::SeqCst);
        let outcome = attack.await;
        delays.speaks.store(false, Ordering::SeqCst);

        let frames = soon("the neighbour's stop", speaking).await.unwrap();
        let heard = soon("the neighbour's end", hearing).await.unwrap();
        let spoken: Vec<u8> = (0..frames).flat_map(frame).collect();
        assert!(heard.audio == spoken, "its audio arrived changed");
        // An attacker takes the processor from both sides of this test; what waits for him waits
        // for longer.
        let usual = heard.slowest[0].max(Duration::from_secs(1));
        assert!(
            heard.slowest[1] < 5 * usual,
            "a frame took {:?} under attack, {:?} in calm",
            heard.slowest[1],
            heard.slowest[0]
        );
        let events = ended(serve, &call_sid(CALL)).await;
        let said: Vec<String> = (0..heard.words).map(word).collect();
        assert_eq!(words(&events, "inbound"), said);
        let call = &events.last().unwrap()["data"];
        assert_eq!(call["audio"]["inbound"]["frames"], frames);
        assert_eq!(call["provider"]["reconnects"], 0, "{call}");
        outcome
    }
}

/// A frame's bytes tell its number, and are no silence.
fn frame(number: usize) -> [u8; FRAME_BYTES] {
    [u8::try_from(number % 100).unwrap(); FRAME_BYTES]
}

fn word(number: u64) -> String {
    format!("word{number}")
}

/// Speaks until told to stop; how many frames there were.
async fn speak(mut stream: Stream, delays: Arc<Delays>) -> usize {
    let mut due = interval(FRAME);
    // The first frame was sent when the call began.
    let mut frames = 1;
    while delays.speaks.load(Ordering::SeqCst) {
        due.tick().await;
        delays.sent.lock().unwrap().push(Instant::now());
        let timestamp_ms = 20 * frames as u64;
        stream.media("inbound", timestamp_ms, &frame(frames)).await;
        frames += 1;
    }
    stream.stop(CALL).await;
    frames
}

struct Heard {
    audio: Vec<u8>,
    words: u64,
    /// What the slowest frame took, in calm and under attack.
    slowest: [Duration; 2],
}

async fn hear(mut connection: Connection, delays: Arc<Delays>) -> Heard {
    let mut heard = Heard {
        audio: Vec::new(),
        words: 0,
        slowest: [Duration::ZERO; 2],
    };
    while let Some(audio) = connection.audio().await {
        let sent = delays.sent.lock().unwrap()[heard.audio.len() / FRAME_BYTES];
        let slowest = &mut heard.slowest[usize::from(delays.is_attacked.load(Ordering::SeqCst))];
        *slowest = (*slowest).max(sent.elapsed());
        heard.audio.extend_from_slice(&audio);
        while (heard.audio.len() / FRAME_BYTES) as u64 >= FRAMES_OF_A_WORD * (heard.words + 1) {
            let length_ms = 20 * FRAMES_OF_A_WORD;
            let start_ms = length_ms * heard.words;
            let text = word(heard.words);
            connection
                .say(results(0, start_ms, start_ms + length_ms, &text, true))
                .await;
            heard.words += 1;
        }
    }
    connection.close(&[METADATA]).await;
    heard
}
