//! The fields of the messages from Twilio, and what each must hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Deserialize;

use super::{Incoming, Media, ParseError, Start};
use crate::SidError;
use crate::stream::json::{Found, quoted};
use crate::stream::{MediaTrack, Payload};

/// The keys of the message that comes fifty times a second. Others are read a second time, as
/// [`Rare`], so that this stays small.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'a> {
    #[serde(borrow, default)]
    pub(super) event: Found<'a>,
    #[serde(borrow, default)]
    pub(super) stream_sid: Found<'a>,
    #[serde(borrow, default)]
    pub(super) sequence_number: Found<'a>,
    #[serde(borrow, default)]
    pub(super) media: Found<'a, MediaBody<'a>>,
}

/// The keys of all other messages.
#[derive(Deserialize)]
pub(super) struct Rare<'a> {
    #[serde(borrow, default)]
    pub(super) protocol: Found<'a>,
    #[serde(borrow, default)]
    pub(super) version: Found<'a>,
    #[serde(borrow, default)]
    pub(super) start: Found<'a, StartBody<'a>>,
    #[serde(borrow, default)]
    pub(super) dtmf: Found<'a, DtmfBody<'a>>,
    #[serde(borrow, default)]
    pub(super) mark: Found<'a, MarkBody<'a>>,
    #[serde(borrow, default)]
    pub(super) stop: Found<'a, StopBody<'a>>,
}

#[derive(Deserialize)]
pub(super) struct MediaBody<'a> {
    #[serde(borrow, default)]
    track: Found<'a>,
    #[serde(borrow, default)]
    chunk: Found<'a>,
    #[serde(borrow, default)]
    timestamp: Found<'a>,
    #[serde(borrow, default)]
    payload: Found<'a>,
}

impl<'a> MediaBody<'a> {
    pub(super) fn read(
        self,
        stream_sid: Found<'a>,
        sequence_number: &Found<'a>,
    ) -> Result<Media<'a>, ParseError> {
        Ok(Media {
            stream_sid: string(stream_sid, Field::new("media", "streamSid"))?,
            track: track(&self.track, Field::new("media", "media.track"))?,
            timestamp_ms: number(&self.timestamp, Field::new("media", "media.timestamp"))?,
            sequence_number: sequence_number.as_number(),
            chunk: self.chunk.as_number(),
            payload: Payload(string(self.payload, Field::new("media", "media.payload"))?),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartBody<'a> {
    #[serde(borrow, default)]
    account_sid: Found<'a>,
    #[serde(borrow, default)]
    stream_sid: Found<'a>,
    #[serde(borrow, default)]
    call_sid: Found<'a>,
    #[serde(borrow, default)]
    tracks: Found<'a>,
    #[serde(borrow, default)]
    media_format: Found<'a, MediaFormatBody<'a>>,
    #[serde(borrow, default)]
    custom_parameters: Found<'a, BTreeMap<String, Found<'a>>>,
}

impl StartBody<'_> {
    pub(super) fn read(self) -> Result<Start, ParseError> {
        object(self.media_format, Field::new("start", "start.mediaFormat"))?.check()?;
        let stream_sid = Field::new("start", "start.streamSid");
        let call_sid = Field::new("start", "start.callSid");
        let account_sid = Field::new("start", "start.accountSid");
        Ok(Start {
            stream_sid: sid(&self.stream_sid, stream_sid, "MZ and 32 hexadecimal digits")?,
            call_sid: sid(&self.call_sid, call_sid, "CA and 32 hexadecimal digits")?,
            account_sid: sid(
                &self.account_sid,
                account_sid,
                "AC and 32 hexadecimal digits",
            )?,
            tracks: tracks(&self.tracks)?,
            custom_parameters: custom_parameters(self.custom_parameters)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MediaFormatBody<'a> {
    #[serde(borrow, default)]
    encoding: Found<'a>,
    #[serde(borrow, default)]
    sample_rate: Found<'a>,
    #[serde(borrow, default)]
    channels: Found<'a>,
}

impl MediaFormatBody<'_> {
    /// Twilio sends one format only; another one would be heard as noise.
    fn check(&self) -> Result<(), ParseError> {
        let format = (
            self.encoding.as_text(),
            self.sample_rate.as_number(),
            self.channels.as_number(),
        );
        if format == (Some("audio/x-mulaw"), Some(8000), Some(1)) {
            return Ok(());
        }
        let found = format!(
            "encoding {}, sampleRate {}, channels {}",
            self.encoding.describe(),
            self.sample_rate.describe(),
            self.channels.describe(),
        );
        let expected = "audio/x-mulaw, 8000, 1";
        Err(Field::new("start", "start.mediaFormat").bad(found, expected))
    }
}

#[derive(Deserialize)]
pub(super) struct DtmfBody<'a> {
    #[serde(borrow, default)]
    track: Found<'a>,
    #[serde(borrow, default)]
    digit: Found<'a>,
}

impl DtmfBody<'_> {
    pub(super) fn read(&self) -> Result<Incoming<'static>, ParseError> {
        let track = match self.track.as_text() {
            Some("inbound_track" | "inbound") | None => MediaTrack::Inbound,
            Some("outbound_track" | "outbound") => MediaTrack::Outbound,
            Some(_) => {
                let expected = "`inbound_track` or `outbound_track`";
                return Err(Field::new("dtmf", "dtmf.track").bad(self.track.describe(), expected));
            }
        };
        let mut chars = self.digit.as_text().unwrap_or_default().chars();
        match (chars.next(), chars.next()) {
            (Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => {
                Ok(Incoming::Dtmf { track, digit })
            }
            _ => {
                let expected = "one of 0-9 * # A-D";
                Err(Field::new("dtmf", "dtmf.digit").bad(self.digit.describe(), expected))
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct MarkBody<'a> {
    #[serde(borrow, default)]
    pub(super) name: Found<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StopBody<'a> {
    #[serde(borrow, default)]
    pub(super) account_sid: Found<'a>,
    #[serde(borrow, default)]
    pub(super) call_sid: Found<'a>,
}

/// Where a field stands.
#[derive(Clone, Copy)]
pub(super) struct Field {
    event: &'static str,
    path: &'static str,
}

impl Field {
    pub(super) const fn new(event: &'static str, path: &'static str) -> Self {
        Self { event, path }
    }

    fn bad(self, found: String, expected: &'static str) -> ParseError {
        ParseError::BadField {
            event: self.event,
            field: self.path,
            found,
            expected,
        }
    }
}

pub(super) fn object<T>(found: Found<'_, T>, field: Field) -> Result<T, ParseError> {
    match found {
        Found::Object(body) => Ok(body),
        other => Err(field.bad(other.describe(), "an object")),
    }
}

pub(super) fn string<'a>(found: Found<'a>, field: Field) -> Result<Cow<'a, str>, ParseError> {
    match found {
        Found::Text(text) => Ok(text),
        other => Err(field.bad(other.describe(), "a string")),
    }
}

pub(super) fn string_or_empty(found: Found<'_>) -> Cow<'_, str> {
    match found {
        Found::Text(text) => text,
        _ => Cow::Borrowed(""),
    }
}

fn number(found: &Found<'_>, field: Field) -> Result<u64, ParseError> {
    found
        .as_number()
        .ok_or_else(|| field.bad(found.describe(), "a decimal number as a string"))
}

fn track(found: &Found<'_>, field: Field) -> Result<MediaTrack, ParseError> {
    let track = found.as_text().and_then(MediaTrack::from_name);
    track.ok_or_else(|| field.bad(found.describe(), "`inbound` or `outbound`"))
}

fn sid<T: FromStr<Err = SidError>>(
    found: &Found<'_>,
    field: Field,
    expected: &'static str,
) -> Result<T, ParseError> {
    let sid = found.as_text().and_then(|text| text.parse().ok());
    sid.ok_or_else(|| field.bad(found.describe(), expected))
}

fn tracks(found: &Found<'_>) -> Result<Vec<MediaTrack>, ParseError> {
    let field = Field::new("start", "start.tracks");
    let expected = "`inbound`, `outbound` or both";
    let Found::Array(elements) = found else {
        return Err(field.bad(found.describe(), expected));
    };
    let mut tracks = Vec::with_capacity(2);
    for element in elements {
        let track = track(element, field)?;
        if tracks.contains(&track) {
            return Err(field.bad(format!("`{}` twice", track.name()), expected));
        }
        tracks.push(track);
    }
    if tracks.is_empty() {
        return Err(field.bad("empty".into(), expected));
    }
    Ok(tracks)
}

fn custom_parameters(
    found: Found<'_, BTreeMap<String, Found<'_>>>,
) -> Result<BTreeMap<String, String>, ParseError> {
    let field = Field::new("start", "start.customParameters");
    let parameters = match found {
        Found::Missing => return Ok(BTreeMap::new()),
        found => object(found, field)?,
    };
    let string = |(name, value): (String, Found<'_>)| match value {
        Found::Text(value) => Ok((name, value.into_owned())),
        other => {
            let found = format!("{}: {}", quoted(&name), other.describe());
            Err(field.bad(found, "strings"))
        }
    };
    parameters.into_iter().map(string).collect()
}
