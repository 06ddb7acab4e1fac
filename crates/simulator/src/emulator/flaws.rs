//! What goes wrong on one stream.

use std::time::Duration;

use sidetone_deepgram::listen::message::Close;

use super::stream::Output;

/// The flaws of one stream; none unless it met a fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Flaws {
    /// The handshake's answer lacks `dg-request-id`.
    pub(super) no_request_id: bool,
    /// What happens how long after the opening.
    pub(super) moments: Vec<(Duration, Moment)>,
    pub(super) hearing: HearingFlaws,
    pub(super) telling: TellingFlaws,
    /// Everything is told so much later.
    pub(super) slow_by: Duration,
    /// What is told of one channel comes up to so much later than the rest.
    pub(super) channels_apart_ms: u64,
    pub(super) ending: Ending,
    /// Messages are sent in frames of this size.
    pub(super) frame_bytes: Option<usize>,
}

/// What may happen at a moment of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// The socket is gone.
    Drop,
    /// The socket is there and dead.
    Stall,
    /// Nothing is told from now on.
    Deafen,
    /// Closed, whatever waits to be told.
    Close(Close),
    /// The end of a stream without audio.
    End,
    /// The next final with words is broken.
    Malform(Malformed),
}

/// What goes wrong with one answer to a request for speech.
#[derive(Clone, Debug)]
pub(super) struct SpeechFlaws {
    /// The first audio comes so much later.
    pub(super) late_by: Duration,
    /// How fast audio comes, 100 being the pace of speech.
    pub(super) pace_percent: u32,
    /// A WAV header is in front of the audio, whether asked for or not.
    pub(super) wav_header: bool,
    /// What happens after so much audio.
    pub(super) breaks: Option<(Duration, Break)>,
}

impl SpeechFlaws {
    /// Ten times the pace of speech.
    pub(super) const USUAL_PACE_PERCENT: u32 = 1_000;
}

impl Default for SpeechFlaws {
    fn default() -> Self {
        Self {
            late_by: Duration::ZERO,
            pace_percent: Self::USUAL_PACE_PERCENT,
            wav_header: false,
            breaks: None,
        }
    }
}

/// How an answer does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// The connection is gone.
    Cut,
    /// The connection is there, and nothing comes any more.
    Stall,
}

/// How a message is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// The first half of its text.
    Truncated,
    /// Text that is no JSON.
    Garbage,
    /// A binary message.
    Binary,
}

impl Malformed {
    /// What becomes of a message.
    pub(super) fn break_up(self, mut text: String) -> Output {
        match self {
            Self::Truncated => {
                text.truncate(text.floor_char_boundary(text.len() / 2));
                Output::Text(text)
            }
            Self::Garbage => Output::Text("<html>Bad Gateway</html>".to_owned()),
            Self::Binary => Output::Binary(text.into()),
        }
    }
}

/// How `CloseStream` is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// The last finals, Metadata, Close.
    #[default]
    InGoodOrder,
    /// Close.
    WithoutFinals,
    /// Not at all.
    Never,
}

/// How words are misheard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HearingFlaws {
    /// The pause before the words of a window is a final of its own.
    pub(super) empty_finals: bool,
    /// A final leaves the last word of its interim to the next.
    pub(super) short_finals: bool,
    /// Word times are wrong by up to this.
    pub(super) word_times_ms: u64,
    /// Words begin up to this too late.
    pub(super) clipped_onsets_ms: u64,
    /// Digits become figures, those in a row one word.
    pub(super) merged_numerals: bool,
}

/// How messages are odd, and legal all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TellingFlaws {
    /// `Results` have at least this size.
    pub(super) results_bytes: usize,
    /// `Results` lack the fields that may be absent.
    pub(super) omits_fields: bool,
    pub(super) unknown_fields: bool,
    pub(super) unknown_types: bool,
    pub(super) doubles_utterance_ends: bool,
    /// Something follows `Metadata`.
    pub(super) late_messages: bool,
}
