//! What the emulated agents saw: for tests, which ask what was sent to them and when.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::{Map, Value, json};

/// The newest sessions of an emulator.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(Arc<Mutex<VecDeque<Arc<Mutex<Session>>>>>);

/// One session, as long as it lives.
#[derive(Debug)]
pub(super) struct Record(Arc<Mutex<Session>>);

#[derive(Debug)]
struct Session {
    request_id: String,
    opened: jiff::Timestamp,
    opened_at: Instant,
    lines: Vec<Line>,
    left_out: u64,
    /// How it ended.
    ended: Option<String>,
}

/// Something that came or went.
#[derive(Debug)]
struct Line {
    at: Instant,
    from: Side,
    what: What,
}

#[derive(Debug)]
enum What {
    Message(Value),
    /// Audio without a message of the same side in between.
    Audio {
        bytes: usize,
        last_at: Instant,
    },
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Records {
    /// Opens a record.
    pub(super) fn open(&self, request_id: String, now: Instant) -> Record {
        let session = Arc::new(Mutex::new(Session {
            request_id,
            opened: jiff::Timestamp::now(),
            opened_at: now,
            lines: Vec::new(),
            left_out: 0,
            ended: None,
        }));
        let mut sessions = lock(&self.0);
        sessions.truncate(MOST_SESSIONS - 1);
        sessions.push_front(Arc::clone(&session));
        Record(session)
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Newest first.
    pub(super) fn to_json(&self) -> Value {
        let sessions: Vec<_> = lock(&self.0).iter().cloned().collect();
        sessions
            .iter()
            .map(|session| lock(session).to_json())
            .collect()
    }
}

impl Record {
    /// A text frame; what is no JSON is kept as a string.
    pub(super) fn message(&self, now: Instant, from: Side, text: &str) {
        let mut message =
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        hide_secrets(&mut message);
        lock(&self.0).add(now, from, What::Message(message));
    }

    pub(super) fn audio(&self, now: Instant, from: Side, bytes: usize) {
        let mut session = lock(&self.0);
        let of_side = session
            .lines
            .iter_mut()
            .rev()
            .find(|line| line.from == from);
        if let Some(What::Audio {
            bytes: before,
            last_at,
        }) = of_side.map(|line| &mut line.what)
        {
            *before += bytes;
            *last_at = now;
        } else {
            let last_at = now;
            session.add(now, from, What::Audio { bytes, last_at });
        }
    }

    /// It is over, for this reason.
    pub(super) fn end(&self, how: &str) {
        lock(&self.0).ended.get_or_insert_with(|| how.to_owned());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end("left by the client");
    }
}

impl Session {
    fn add(&mut self, at: Instant, from: Side, what: What) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(Line { at, from, what });
        } else {
            self.left_out += 1;
        }
    }

    fn to_json(&self) -> Value {
        let settings = self.lines.iter().find_map(|line| match &line.what {
            What::Message(message) if message["type"] == "Settings" => Some(message.clone()),
            _ => None,
        });
        let lines: Vec<Value> = self.lines.iter().map(|line| self.line(line)).collect();
        json!({
            "request_id": self.request_id,
            "opened": format!("{:.6}", self.opened),
            "settings": settings,
            "messages": lines,
            "messages_left_out": self.left_out,
            "ended": self.ended,
        })
    }

    fn line(&self, line: &Line) -> Value {
        let ms = |at: Instant| at.saturating_duration_since(self.opened_at).as_secs_f64() * 1_000.0;
        let from = match line.from {
            Side::Client => "client",
            Side::Server => "server",
        };
        match &line.what {
            What::Message(message) => {
                json!({ "ms": ms(line.at), "from": from, "message": message })
            }
            What::Audio { bytes, last_at } => json!({
                "ms": ms(line.at),
                "from": from,
                "audio_bytes": bytes,
                "last_ms": ms(*last_at),
            }),
        }
    }
}

/// Hides what authenticates a client with others, wherever it lies.
fn hide_secrets(value: &mut Value) {
    let hide = |fields: &mut Map<String, Value>| {
        for value in fields.values_mut() {
            *value = Value::String("***".to_owned());
        }
    };
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(inner) if SECRETS.contains(&name.as_str()) => hide(inner),
                    value => hide_secrets(value),
                }
            }
        }
        _ => {}
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nothing panics while it records")
}

/// The objects that hold secrets.
const SECRETS: [&str; 2] = ["headers", "credentials"];

/// Older sessions are forgotten.
const MOST_SESSIONS: usize = 500;

/// More messages of a session are only counted.
const MOST_LINES: usize = 2_000;
