//! What people see: the live transcript on stdout, the log on stderr.
//!
//! Each call's reader holds a cursor into that call's log, so a terminal that is stopped costs the
//! calls nothing and misses no final when it goes on.

mod screen;
mod turns;

use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sidetone_call::archive::Archive as _;
use sidetone_call::event::{EventData, Transcript, VolatileData};
use sidetone_call::log::{Cursor, Item, Read};
use sidetone_gateway::calls::{CallHandle, Calls};
use sidetone_twilio::CallSid;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use screen::{Look, Screen, Shown};
use turns::Turns;

/// Lines on their way to the terminal. Readers wait when it is full, the log does not.
const QUEUE: usize = 256;

/// Calls that have ended whose readers' places are kept, in case they are resumed.
const REMEMBERED: usize = 1024;

/// How long the last lines may take when the process ends.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The terminal: one thread writes it, whoever has something to show hands it over.
#[derive(Debug)]
pub(crate) struct Terminal {
    lines: mpsc::Sender<Shown>,
    written: JoinHandle<()>,
    log_dropped: Arc<AtomicU64>,
    interims: bool,
}

impl Terminal {
    /// Takes stdout. Off a terminal, `interims` says whether they get lines too.
    pub(crate) fn on_stdout(interims: bool) -> Self {
        let look = Look::of_stdout();
        let interims = interims || look.in_place;
        let (lines, waiting) = mpsc::channel(QUEUE);
        let log_dropped = Arc::new(AtomicU64::new(0));
        let dropped = Arc::clone(&log_dropped);
        let written =
            tokio::task::spawn_blocking(move || write(waiting, Screen::new(look), &dropped));
        Self {
            lines,
            written,
            log_dropped,
            interims,
        }
    }

    /// Where the log is to be written so that it does not tear the transcript.
    pub(crate) fn log_writer(&self) -> LogWriter {
        LogWriter {
            lines: self.lines.clone(),
            dropped: Arc::clone(&self.log_dropped),
        }
    }

    /// A line of its own on stdout.
    pub(crate) async fn print(&self, text: impl Into<String>) {
        // The writer is gone when stdout was closed; then nobody reads.
        self.lines.send(Shown::Line(text.into())).await.ok();
    }

    /// Shows every call from now on.
    pub(crate) fn follow(&self, calls: Arc<Calls>) -> Display {
        self.follow_only(calls, None)
    }

    /// Shows one call, or every one.
    pub(crate) fn follow_only(&self, calls: Arc<Calls>, only: Option<CallSid>) -> Display {
        let stop = CancellationToken::new();
        let readers = Readers {
            calls,
            only,
            lines: self.lines.clone(),
            interims: self.interims,
        };
        let following = tokio::spawn(readers.run(stop.clone()));
        Display { following, stop }
    }

    /// Writes what waits and gives the terminal back to whoever had it.
    pub(crate) async fn close(self) {
        let Self { lines, written, .. } = self;
        // A terminal that is stopped, or gone, is left as it is.
        lines.send_timeout(Shown::Close, LAST_LINES).await.ok();
        tokio::time::timeout(LAST_LINES, written).await.ok();
    }
}

/// Calls being shown.
#[derive(Debug)]
pub(crate) struct Display {
    following: JoinHandle<()>,
    stop: CancellationToken,
}

impl Display {
    /// Waits a moment for the readers to show the last words of calls that have ended.
    pub(crate) async fn settle(self) {
        self.stop.cancel();
        let mut following = self.following;
        if tokio::time::timeout(LAST_LINES, &mut following)
            .await
            .is_err()
        {
            following.abort();
        }
    }
}

struct Readers {
    calls: Arc<Calls>,
    only: Option<CallSid>,
    lines: mpsc::Sender<Shown>,
    interims: bool,
}

impl Readers {
    /// Gives every live call a reader, until `stop` and every reader has come to its call's end.
    async fn run(self, stop: CancellationToken) {
        let mut changed = self.calls.changed();
        let mut followed = HashSet::new();
        let mut left_at: HashMap<CallSid, Cursor> = HashMap::new();
        let mut readers = JoinSet::new();
        loop {
            for call in self.calls.live() {
                let call_sid = call.call_sid().clone();
                let wanted = self.only.as_ref().is_none_or(|only| *only == call_sid);
                if wanted && followed.insert(call_sid.clone()) {
                    let reader = Reader {
                        calls: Arc::clone(&self.calls),
                        call,
                        lines: self.lines.clone(),
                        interims: self.interims,
                        turns: Turns::default(),
                    };
                    readers.spawn(reader.run(left_at.remove(&call_sid).unwrap_or_default()));
                }
            }
            tokio::select! {
                result = changed.changed() => if result.is_err() { break },
                Some(ended) = readers.join_next() => if let Ok((call_sid, cursor)) = ended {
                    // A call that is resumed is followed again, from where its reader left it.
                    followed.remove(&call_sid);
                    if left_at.len() >= REMEMBERED {
                        left_at.clear();
                    }
                    left_at.insert(call_sid, cursor);
                },
                () = stop.cancelled() => break,
            }
        }
        while readers.join_next().await.is_some() {}
    }
}

struct Reader {
    calls: Arc<Calls>,
    call: Arc<CallHandle>,
    lines: mpsc::Sender<Shown>,
    interims: bool,
    turns: Turns,
}

impl Reader {
    /// Shows the call to its end, and tells how far it came.
    async fn run(mut self, mut cursor: Cursor) -> (CallSid, Cursor) {
        while self.read_on(&mut cursor).await {}
        (self.call.call_sid().clone(), cursor)
    }

    /// False at the call's end, or when nobody reads any more.
    async fn read_on(&mut self, cursor: &mut Cursor) -> bool {
        // Taken before reading, so that what comes in between wakes the wait below.
        let mut changed = self.call.changed();
        match self.call.read(cursor, QUEUE) {
            Read::Items { items, .. } => {
                for item in &items {
                    if !self.show(item).await {
                        return false;
                    }
                }
                true
            }
            Read::Behind { .. } => self.catch_up(cursor).await,
            Read::Waiting => changed.changed().await.is_ok(),
            Read::Ended => false,
        }
    }

    /// Reads what is in memory no more from the archive.
    async fn catch_up(&mut self, cursor: &mut Cursor) -> bool {
        let archive = self.calls.archive();
        let Ok(entries) = archive
            .events(self.call.call_sid(), cursor.seq, QUEUE)
            .await
        else {
            return false;
        };
        for entry in entries {
            cursor.seq = entry.event.seq;
            if !self.show(&Item::Event(entry)).await {
                return false;
            }
        }
        true
    }

    /// False when nobody reads any more.
    async fn show(&mut self, item: &Item) -> bool {
        let shown = match item {
            Item::Event(entry) => match &entry.event.data {
                EventData::CallStarted(call) | EventData::CallResumed(call) => Shown::Call {
                    call_sid: call.call_sid.clone(),
                    from: call.from.clone(),
                    to: call.to.clone(),
                },
                EventData::TranscriptFinal(transcript) => Shown::Final {
                    call_sid: entry.event.call_sid.clone(),
                    track: transcript.track,
                    start_ms: spoken_at(transcript),
                    text: transcript.text.clone(),
                },
                EventData::CallEnded(call) => Shown::Ended {
                    call_sid: call.call_sid.clone(),
                },
                data => match self.turns.line(data) {
                    Some(line) => Shown::Turn {
                        call_sid: entry.event.call_sid.clone(),
                        line,
                    },
                    None => return true,
                },
            },
            Item::Volatile(volatile) => match &volatile.data {
                VolatileData::TranscriptInterim(transcript) if self.interims => Shown::Interim {
                    call_sid: volatile.call_sid.clone(),
                    track: transcript.track,
                    start_ms: spoken_at(transcript),
                    text: transcript.text.clone(),
                },
                VolatileData::TranscriptInterim(_)
                | VolatileData::AgentPlayback(_)
                | VolatileData::AudioLevel(_) => return true,
            },
        };
        self.lines.send(shown).await.is_ok()
    }
}

/// When the first word was spoken: a transcript's own start may lie in the silence before it.
fn spoken_at(transcript: &Transcript) -> u64 {
    let first = transcript.words.first();
    first.map_or(transcript.start_ms, |word| word.start_ms)
}

/// The thread that writes: blocked when the terminal is stopped, and then nobody else is.
fn write(mut waiting: mpsc::Receiver<Shown>, mut screen: Screen, log_dropped: &AtomicU64) {
    let (mut stdout, mut stderr) = (std::io::stdout(), std::io::stderr());
    // Where both are the same terminal, a log line may not tear the interims.
    let share_a_terminal = stdout.is_terminal() && stderr.is_terminal();
    let mut out = String::new();
    while let Some(shown) = waiting.blocking_recv() {
        let last = matches!(shown, Shown::Close);
        let shown = match shown {
            Shown::Log(line) => Shown::Log(with_notice(line, log_dropped)),
            other => other,
        };
        // Whoever reads no more is written to in vain: the calls go on, and so does the other
        // output.
        if let Shown::Log(lines) = &shown
            && !share_a_terminal
        {
            stderr.write_all(lines).ok();
        } else {
            out.clear();
            screen.show(&shown, &mut out);
            stdout.write_all(out.as_bytes()).ok();
            stdout.flush().ok();
        }
        if last {
            return;
        }
    }
}

/// A log line, after a word about those before it that found the queue full.
fn with_notice(line: Vec<u8>, dropped: &AtomicU64) -> Vec<u8> {
    match dropped.swap(0, Ordering::Relaxed) {
        0 => line,
        dropped => [
            format!("({dropped} log lines left out)\n").into_bytes(),
            line,
        ]
        .concat(),
    }
}

/// Hands log lines to the terminal's thread and never waits for it.
#[derive(Clone, Debug)]
pub(crate) struct LogWriter {
    lines: mpsc::Sender<Shown>,
    dropped: Arc<AtomicU64>,
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = LogLine;

    fn make_writer(&'w self) -> LogLine {
        LogLine {
            writer: self.clone(),
            text: Vec::new(),
        }
    }
}

/// One log line while it is written.
#[derive(Debug)]
pub(crate) struct LogLine {
    writer: LogWriter,
    text: Vec<u8>,
}

impl std::io::Write for LogLine {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        if self.writer.lines.try_send(Shown::Log(text)).is_err() {
            self.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
