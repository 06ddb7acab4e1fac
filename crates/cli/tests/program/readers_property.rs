//! History, then live, with no gap and no repeat, however often a reader breaks off and in
//! whatever form it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;

use crate::events::path;
use crate::readers::{EventStream, drain, event, look, look_at_stream};
use crate::scripted::{Connection, METADATA, Scripted, results};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Socket, Stream, call_sid};
use crate::watching::call_until;
use crate::web::ended;

/// How a reader reads for a while.
#[derive(Clone, Copy, Debug)]
enum Form {
    Page,
    /// Server-Sent Events after `after`.
    Stream,
    /// Server-Sent Events after `Last-Event-ID`, beside an `after` that is older.
    Resumed,
    WebSocket,
}

/// One visit: so many items are read, then the reader breaks off.
#[derive(Clone, Copy, Debug)]
struct Visit {
    form: Form,
    items: usize,
}

/// A reader: where it begins, in percent of what there is, what it wants, and its visits.
#[derive(Clone, Debug)]
struct Pattern {
    begins_percent: u64,
    types: &'static str,
    visits: Vec<Visit>,
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let form = prop_oneof![
        Just(Form::Page),
        Just(Form::Stream),
        Just(Form::Resumed),
        Just(Form::WebSocket)
    ];
    let items = prop_oneof![0..4usize, 0..40usize];
    let visit = (form, items).prop_map(|(form, items)| Visit { form, items });
    let types = prop_oneof![
        4 => Just(""),
        1 => Just("transcript.*"),
        1 => Just("transcript.final,call.*"),
        1 => Just("utterance.ended,transcript.interim,call.ended"),
    ];
    // Most readers come for what is new, some for all that was.
    let begins_percent = prop_oneof![Just(0), Just(100), 0..=100u64];
    let visits = proptest::collection::vec(visit, 1..7);
    (begins_percent, types, visits).prop_map(|(begins_percent, types, visits)| Pattern {
        begins_percent,
        types,
        visits,
    })
}

/// What a reader has read.
struct Reader {
    serve: Arc<Serve>,
    types: &'static str,
    begun_after: u64,
    after: u64,
    durable: Vec<Value>,
    /// Where the newest final of each channel ends.
    final_ms: [u64; 2],
}

impl Reader {
    fn new(serve: &Arc<Serve>, types: &'static str, after: u64) -> Self {
        Self {
            serve: Arc::clone(serve),
            types,
            begun_after: after,
            after,
            durable: Vec::new(),
            final_ms: [0; 2],
        }
    }

    fn path(&self, after: u64) -> String {
        let types = self.types;
        path(&format!("?after={after}&types={types}"))
    }

    fn has_ended(&self) -> bool {
        self.durable
            .last()
            .is_some_and(|event| event["type"] == "call.ended")
    }

    async fn open_stream(&self, form: Form) -> EventStream {
        let last_event_id = self.after.to_string();
        match form {
            Form::Resumed => {
                let headers = [("last-event-id", last_event_id.as_str())];
                EventStream::open(&self.serve, &self.path(self.after / 2), &headers).await
            }
            _ => EventStream::open(&self.serve, &self.path(self.after), &[]).await,
        }
    }

    async fn visit(&mut self, visit: Visit) {
        let Visit { form, items } = visit;
        match form {
            Form::Page => {
                let path = format!("{}&limit={}", self.path(self.after), items.max(1));
                let page = look(&self.serve, &path).await;
                for item in page.json()["items"].as_array().unwrap() {
                    self.take(item.clone());
                }
            }
            Form::Stream | Form::Resumed => {
                let mut stream = self.open_stream(form).await;
                for _ in 0..items {
                    if let Some(item) = stream.event().await {
                        self.take(item);
                    }
                }
            }
            Form::WebSocket => {
                let url = self.serve.ws(&self.path(self.after));
                let mut socket = Socket::connect(&url, &[]).await.unwrap();
                for _ in 0..items {
                    if let Some(item) = event(&mut socket).await {
                        self.take(item);
                    }
                }
            }
        }
    }

    /// Reads until the call has ended and there is nothing more to come.
    async fn read_to_the_end(&mut self, form: Form) {
        if let Form::WebSocket = form {
            let url = self.serve.ws(&self.path(self.after));
            let (texts, code) = drain(&mut Socket::connect(&url, &[]).await.unwrap()).await;
            for text in texts {
                self.take(serde_json::from_str(&text).unwrap());
            }
            assert_eq!(code, Some(1000));
        } else {
            let mut stream = self.open_stream(form).await;
            while let Some(item) = stream.event().await {
                self.take(item);
            }
        }
    }

    fn take(&mut self, item: Value) {
        let channel = usize::from(item["data"]["track"] == "outbound");
        if let Some(seq) = item["seq"].as_u64() {
            assert!(seq > self.after, "{item} after {}", self.after);
            assert!(
                !self.types.is_empty() || seq == self.after + 1,
                "{item} after {}",
                self.after
            );
            self.after = seq;
            if item["type"] == "transcript.final" {
                self.final_ms[channel] = item["data"]["end_ms"].as_u64().unwrap();
            }
            self.durable.push(item);
            return;
        }
        assert_eq!(item["type"], "transcript.interim");
        assert!(
            item["data"]["start_ms"].as_u64() >= Some(self.final_ms[channel]),
            "{item} is older than the final that ends at {}",
            self.final_ms[channel]
        );
        if self.types.is_empty() {
            assert!(
                item["after_seq"].as_u64() <= Some(self.after),
                "{item} came after {}",
                self.after
            );
        }
    }

    fn wants(&self, event: &Value) -> bool {
        let name = event["type"].as_str().unwrap();
        self.types.is_empty()
            || self.types.split(',').any(|wanted| {
                let stem = wanted.strip_suffix('*');
                stem.map_or(wanted == name, |stem| name.starts_with(stem))
            })
    }

    /// Checks what was read against all there is: nothing missed, nothing twice, nothing else.
    fn check(&self, all: &[Value]) {
        let expected: Vec<&Value> = all
            .iter()
            .filter(|event| {
                (self.begun_after + 1..=self.after).contains(&event["seq"].as_u64().unwrap())
            })
            .filter(|event| self.wants(event))
            .collect();
        assert_eq!(self.durable.iter().collect::<Vec<_>>(), expected);
    }
}

/// Speaks on both sides until told to stop: an interim or two, a final, now and then the end of an
/// utterance, the channels in turn. Gives how many finals there were.
async fn speak(connection: &mut Connection, stop: &AtomicBool) -> u64 {
    let mut finals = 0;
    while !stop.load(Ordering::Relaxed) {
        let (channel, n) = (usize::from(finals % 2 == 1), finals / 2);
        for step in 0..=finals % 3 {
            let last = step == finals % 3;
            let text = format!("word{n}");
            connection
                .say(results(channel, 2 * n, 2 * n + 2, &text, last))
                .await;
            // A pace at which readers come while it goes on, and not all after it.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if finals.is_multiple_of(5) {
            let at = n as f64 / 500.0;
            connection
                .say(format!(
                    r#"{{"type":"UtteranceEnd","channel":[{channel},2],"last_word_end":{at:.3}}}"#
                ))
                .await;
        }
        finals += 1;
    }
    finals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_break_off_anywhere_and_come_back_in_any_form_miss_and_repeat_nothing() {
    let deepgram = Scripted::start().await;
    let serve = Arc::new(serve().deepgram(&deepgram.url).start().await);
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound", "outbound"]).await;
    // Enough sound for all that will be said.
    for n in 0..30 {
        for track in ["inbound", "outbound"] {
            stream.media(track, 20 + 200 * n, &[0x55; 1600]).await;
        }
    }
    let mut connection = deepgram.accept().await;
    connection.hear(16_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let speaking = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let finals = speak(&mut connection, &stop).await;
            (connection, finals)
        }
    });
    call_until(&serve, &call_sid(1), |call| {
        call["last_seq"].as_u64() > Some(10)
    })
    .await;

    let properties = tokio::task::spawn_blocking({
        let (serve, runtime) = (Arc::clone(&serve), tokio::runtime::Handle::current());
        move || hold(&serve, &runtime)
    });
    let visited = soon("all readers", properties).await.unwrap();

    // The last ones stay until the end.
    let forms = [Form::Stream, Form::Resumed, Form::WebSocket];
    let staying = (0..12).zip(forms.into_iter().cycle()).map(|(n, form)| {
        let mut reader = Reader::new(&serve, ["", "transcript.final,call.*"][n % 2], 0);
        async move {
            let visit = Visit { form, items: 7 * n };
            reader.visit(visit).await;
            reader.read_to_the_end(form).await;
            assert!(reader.has_ended());
            reader
        }
    });
    let ending = async {
        stop.store(true, Ordering::Relaxed);
        let (connection, finals) = speaking.await.unwrap();
        tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
        finals
    };
    let (stayed, finals) = tokio::join!(join_all(staying), ending);

    let all = ended(&serve, &call_sid(1)).await;
    let seqs = all.iter().map(|event| event["seq"].as_u64().unwrap());
    assert!(seqs.eq(1..=all.len() as u64));
    let of_finals = all
        .iter()
        .filter(|event| event["type"] == "transcript.final");
    assert_eq!(of_finals.count() as u64, finals);
    for reader in visited.iter().chain(&stayed) {
        reader.check(&all);
    }
    let live = visited.iter().filter(|reader| reader.begun_after > 0);
    assert!(live.count() > 20, "hardly anybody came while it went on");

    let last_seq = all.len().to_string();
    let headers = [("last-event-id", last_seq.as_str())];
    assert_eq!(
        look_at_stream(&serve, &path(""), &headers).await.status,
        204
    );
    let url = serve.ws(&path(&format!("?after={last_seq}")));
    let mut late = Socket::connect(&url, &[]).await.unwrap();
    assert_eq!(drain(&mut late).await, (Vec::new(), Some(1000)));
}

/// Lets readers of all patterns come, a few at a time; gives what each has read.
fn hold(serve: &Arc<Serve>, runtime: &tokio::runtime::Handle) -> Vec<Reader> {
    let mut runner = TestRunner::new(Config {
        cases: 16,
        // Each further try is another moment of the call.
        max_shrink_iters: 8,
        failure_persistence: None,
        ..Config::default()
    });
    let visited = std::cell::RefCell::new(Vec::new());
    let patterns = proptest::collection::vec(pattern(), 8);
    let outcome = runner.run(&patterns, |patterns| {
        let come = patterns.into_iter().map(|pattern| {
            let serve = Arc::clone(serve);
            tokio::spawn(come(serve, pattern))
        });
        for reader in runtime.block_on(join_all(come)) {
            let reader = reader.map_err(|panic| TestCaseError::fail(panic.to_string()))?;
            visited.borrow_mut().push(reader);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    visited.into_inner()
}

async fn come(serve: Arc<Serve>, pattern: Pattern) -> Reader {
    let (_, call) = crate::web::get(&serve, &format!("/api/v1/calls/{}", call_sid(1))).await;
    let after = call["last_seq"].as_u64().unwrap() * pattern.begins_percent / 100;
    let mut reader = Reader::new(&serve, pattern.types, after);
    for visit in pattern.visits {
        reader.visit(visit).await;
    }
    reader
}
