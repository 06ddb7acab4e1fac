//! What the terminal shows, as text: finals that stay, interims that are rewritten in place.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use sidetone_audio::Track;
use sidetone_twilio::CallSid;

use super::turns::{Line, Tag};

/// Interim lines at most; of more calls than that, only the finals are shown.
const LIVE_LINES: usize = 8;

/// Room for the longest tag of a conversation, `[FUNCTION]`.
const TAG_WIDTH: usize = 10;

/// Something to be shown.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    Call {
        call_sid: CallSid,
        from: Option<String>,
        to: Option<String>,
    },
    Final {
        call_sid: CallSid,
        track: Track,
        start_ms: u64,
        text: String,
    },
    Interim {
        call_sid: CallSid,
        track: Track,
        start_ms: u64,
        text: String,
    },
    Turn {
        call_sid: CallSid,
        line: Line,
    },
    Ended {
        call_sid: CallSid,
    },
    Line(String),
    Log(Vec<u8>),
    Close,
}

/// How it may look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// A terminal that can go back up.
    pub(super) in_place: bool,
    /// Colours are welcome.
    pub(super) colour: bool,
    /// Columns.
    pub(super) width: usize,
}

impl Look {
    /// What stdout can do and its user wants (`NO_COLOR`, `TERM=dumb`).
    pub(super) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let colour = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        Self {
            in_place: stdout.is_terminal() && !dumb,
            colour,
            width,
        }
    }
}

/// The screen's state.
#[derive(Debug)]
pub(super) struct Screen {
    look: Look,
    headers: BTreeMap<CallSid, String>,
    last_call: Option<CallSid>,
    interims: BTreeMap<(CallSid, Track), String>,
    live_lines: usize,
}

impl Screen {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            headers: BTreeMap::new(),
            last_call: None,
            interims: BTreeMap::new(),
            live_lines: 0,
        }
    }

    /// Appends what is to be written.
    pub(super) fn show(&mut self, shown: &Shown, out: &mut String) {
        if self.look.in_place {
            self.in_place(shown, out);
        } else {
            lines(shown, out);
        }
    }

    fn in_place(&mut self, shown: &Shown, out: &mut String) {
        if self.live_lines > 0 {
            // Back up to the first interim and clear to the end of the screen.
            put(out, format_args!("\x1b[{}A\r\x1b[J", self.live_lines));
            self.live_lines = 0;
        }
        match shown {
            Shown::Call { call_sid, from, to } => {
                let party = |number: &Option<String>| plain(number.as_deref().unwrap_or("unknown"));
                let header = format!("Call {call_sid}  {} -> {}", party(from), party(to));
                self.headers.insert(call_sid.clone(), header);
            }
            Shown::Final {
                call_sid,
                track,
                start_ms,
                text,
            } => {
                self.interims.remove(&(call_sid.clone(), *track));
                self.head(call_sid, out);
                let (tag, name) = (self.style(Style::new().bold()), self.track(*track));
                let text = plain(text);
                put(
                    out,
                    format_args!(
                        "{tag}[FINAL]{tag:#}   {name}{:<8}{name:#} {}  {text}\n",
                        track.name(),
                        clock(*start_ms)
                    ),
                );
            }
            Shown::Interim {
                call_sid,
                track,
                start_ms,
                text,
            } => {
                let line = format!("{:<8} {}  {}", track.name(), clock(*start_ms), plain(text));
                self.interims.insert((call_sid.clone(), *track), line);
            }
            Shown::Turn { call_sid, line } => {
                self.head(call_sid, out);
                self.turn(line, out);
            }
            Shown::Ended { call_sid } => {
                self.headers.remove(call_sid);
                self.interims.retain(|(call, _), _| call != call_sid);
            }
            Shown::Line(_) | Shown::Log(_) | Shown::Close => lines(shown, out),
        }
        if !matches!(shown, Shown::Close) {
            self.draw_interims(out);
        }
    }

    /// The line above those of a call, when the one before was of another.
    fn head(&mut self, call_sid: &CallSid, out: &mut String) {
        if self.last_call.as_ref() == Some(call_sid) {
            return;
        }
        self.last_call = Some(call_sid.clone());
        let header = self.headers.get(call_sid).cloned();
        let header = header.unwrap_or_else(|| format!("Call {call_sid}"));
        let bold = self.style(Style::new().bold());
        put(out, format_args!("{bold}{header}{bold:#}\n"));
    }

    fn turn(&self, line: &Line, out: &mut String) {
        let colour = match line.tag {
            Tag::Caller => AnsiColor::Cyan,
            Tag::Agent => AnsiColor::Green,
            Tag::Function => AnsiColor::Yellow,
        };
        let (tag, dim) = (
            self.style(colour.on_default().bold()),
            self.style(Style::new().dimmed()),
        );
        let (name, clock, text) = (bracketed(line), clock(line.at_ms), plain(&line.text));
        put(
            out,
            format_args!("{tag}{name:<TAG_WIDTH$}{tag:#} {clock}  {text}"),
        );
        if let Some(note) = &line.note {
            put(out, format_args!("{dim}  ({note}){dim:#}"));
        }
        out.push('\n');
    }

    fn draw_interims(&mut self, out: &mut String) {
        let dim = self.style(Style::new().dimmed());
        for line in self.interims.values().take(LIVE_LINES) {
            let room = self.look.width.saturating_sub("[INTERIM] ".len() + 1);
            let line = tail(line, room);
            put(out, format_args!("{dim}[INTERIM] {line}{dim:#}\n"));
            self.live_lines += 1;
        }
    }

    fn track(&self, track: Track) -> Style {
        let colour = match track {
            Track::Inbound => AnsiColor::Cyan,
            Track::Outbound => AnsiColor::Green,
        };
        self.style(colour.on_default())
    }

    fn style(&self, style: Style) -> Style {
        if self.look.colour {
            style
        } else {
            Style::new()
        }
    }
}

/// Off a terminal: one line each, for people and for `grep`.
fn lines(shown: &Shown, out: &mut String) {
    match shown {
        Shown::Final {
            call_sid,
            track,
            start_ms,
            text,
        } => line(out, "FINAL", call_sid, *track, *start_ms, text),
        Shown::Interim {
            call_sid,
            track,
            start_ms,
            text,
        } => line(out, "INTERIM", call_sid, *track, *start_ms, text),
        Shown::Turn { call_sid, line } => {
            let (name, clock, text) = (bracketed(line), clock(line.at_ms), plain(&line.text));
            put(out, format_args!("{name} {call_sid} {clock} {text}"));
            if let Some(note) = &line.note {
                put(out, format_args!(" ({note})"));
            }
            out.push('\n');
        }
        Shown::Line(text) => put(out, format_args!("{text}\n")),
        Shown::Log(text) => out.push_str(&String::from_utf8_lossy(text)),
        Shown::Call { .. } | Shown::Ended { .. } | Shown::Close => {}
    }
}

fn bracketed(line: &Line) -> String {
    format!("[{}]", line.tag.name())
}

fn line(out: &mut String, tag: &str, call_sid: &CallSid, track: Track, start_ms: u64, text: &str) {
    let (track, clock, text) = (track.name(), clock(start_ms), plain(text));
    put(
        out,
        format_args!("[{tag}] {call_sid} {track} {clock} {text}\n"),
    );
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes all");
}

/// `mm:ss.d` of call time.
fn clock(ms: u64) -> String {
    format!("{:02}:{:02}.{}", ms / 60_000, ms / 1000 % 60, ms / 100 % 10)
}

/// What a peer wrote may not steer the terminal.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The last `room` characters: of an interim that grows, its end is the news. The clock stays.
fn tail(line: &str, room: usize) -> String {
    let length = line.chars().count();
    if length <= room {
        return line.to_owned();
    }
    let head: String = line.chars().take(18).collect();
    let rest = room.saturating_sub(19);
    let tail: String = line.chars().skip(length - rest.min(length)).collect();
    format!("{head}\u{2026}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "CA00000000000000000000000000000001";

    fn shown(interim: bool, text: &str) -> Shown {
        let (call_sid, track, start_ms) = (SID.parse().unwrap(), Track::Inbound, 63_250);
        let text = text.to_owned();
        if interim {
            Shown::Interim {
                call_sid,
                track,
                start_ms,
                text,
            }
        } else {
            Shown::Final {
                call_sid,
                track,
                start_ms,
                text,
            }
        }
    }

    fn screen(in_place: bool) -> Screen {
        Screen::new(Look {
            in_place,
            colour: false,
            width: 60,
        })
    }

    #[test]
    fn off_a_terminal_a_final_is_one_line() {
        let mut out = String::new();
        screen(false).show(&shown(false, "hello there"), &mut out);
        assert_eq!(out, format!("[FINAL] {SID} inbound 01:03.2 hello there\n"));
    }

    #[test]
    fn on_a_terminal_an_interim_is_rewritten_in_place() {
        let mut screen = screen(true);
        let mut out = String::new();
        screen.show(&shown(true, "hel"), &mut out);
        assert_eq!(out, "[INTERIM] inbound  01:03.2  hel\n");
        out.clear();
        screen.show(&shown(true, "hello"), &mut out);
        assert_eq!(out, "\x1b[1A\r\x1b[J[INTERIM] inbound  01:03.2  hello\n");
        out.clear();
        screen.show(&shown(false, "hello there"), &mut out);
        assert_eq!(
            out,
            format!("\x1b[1A\r\x1b[JCall {SID}\n[FINAL]   inbound  01:03.2  hello there\n")
        );
    }

    #[test]
    fn a_long_interim_shows_its_end_and_takes_one_line() {
        let mut out = String::new();
        let text = "word ".repeat(40) + "last";
        screen(true).show(&shown(true, &text), &mut out);
        assert_eq!(out.lines().count(), 1);
        assert!(out.trim_end().chars().count() <= 60, "{out}");
        assert!(out.trim_end().ends_with("last"), "{out}");
    }

    fn turn(tag: Tag, text: &str, note: Option<&str>) -> Shown {
        Shown::Turn {
            call_sid: SID.parse().unwrap(),
            line: Line {
                tag,
                at_ms: 63_250,
                text: text.to_owned(),
                note: note.map(str::to_owned),
            },
        }
    }

    #[test]
    fn a_conversation_has_a_line_for_each_turn() {
        let conversation = [
            turn(Tag::Caller, "where is it", None),
            turn(Tag::Function, "lookup() -> ok in 9 ms", None),
            turn(Tag::Agent, "It left --", Some("interrupted")),
        ];
        let mut out = String::new();
        let mut piped = screen(false);
        for shown in &conversation {
            piped.show(shown, &mut out);
        }
        let expected = format!(
            "[CALLER] {SID} 01:03.2 where is it\n\
             [FUNCTION] {SID} 01:03.2 lookup() -> ok in 9 ms\n\
             [AGENT] {SID} 01:03.2 It left -- (interrupted)\n"
        );
        assert_eq!(out, expected);
        out.clear();
        let mut terminal = screen(true);
        for shown in &conversation {
            terminal.show(shown, &mut out);
        }
        let expected = format!(
            "Call {SID}\n[CALLER]   01:03.2  where is it\n\
             [FUNCTION] 01:03.2  lookup() -> ok in 9 ms\n\
             [AGENT]    01:03.2  It left --  (interrupted)\n"
        );
        assert_eq!(out, expected);
    }

    #[test]
    fn what_was_said_cannot_steer_the_terminal() {
        let mut out = String::new();
        screen(false).show(&shown(false, "a\x1b[2Jb\r\nc"), &mut out);
        assert!(out.ends_with("a [2Jb  c\n"), "{out:?}");
    }
}
