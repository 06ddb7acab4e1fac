//! `POST /v1/speak`: texts become audio that carries its words, at about Deepgram's pace.
//!
//! The first audio comes after 200 to 300 ms, the rest at ten times the pace of speech in chunks
//! of any size. Mu-law and linear PCM are spoken, bare or as WAV; the voices are all the same.

pub(super) mod coding;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::response::Response;
use axum::routing::post;
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use sidetone_deepgram::error::Refusal;
use sidetone_deepgram::speak::query::{Container, Query};
use sidetone_deepgram::speak::request::{self, MAX_BODY_BYTES};
use sidetone_deepgram::speak::{MOST_AT_ONCE, PATH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::coding::Coding;
use super::flaws::{Break, SpeechFlaws};
use super::refusal::Refused;
use super::server::{HANG_LIMIT, PROJECT_ID, Server, refuse, with_id};
use crate::dice::Dice;
use crate::voice;

/// What all requests for speech share.
#[derive(Clone)]
struct Speakers {
    server: Server,
    places: Arc<Semaphore>,
}

/// The route. More than `at_once` requests at once ([`MOST_AT_ONCE`] unless told) are refused.
pub(super) fn routes(server: Server, at_once: Option<usize>) -> Router {
    let places = Arc::new(Semaphore::new(at_once.unwrap_or(MOST_AT_ONCE)));
    Router::new()
        .route(PATH, post(speak))
        .with_state(Speakers { server, places })
}

async fn speak(
    State(speakers): State<Speakers>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let arrived = Instant::now();
    let mut dice = speakers.server.dice();
    let request_id = dice.uuid();
    let wanted = wanted(&speakers, query.as_deref().unwrap_or_default(), request).await;
    let answered = match wanted {
        Ok(wanted) => answer(&speakers, wanted, arrived, &request_id, dice).await,
        Err(refused) => Err(refused),
    };
    answered.unwrap_or_else(|refused| refuse(&refused, &request_id))
}

/// A request that may be served.
struct Wanted {
    query: Query,
    coding: Coding,
    text: String,
    place: OwnedSemaphorePermit,
}

async fn wanted(speakers: &Speakers, query: &str, request: Request) -> Result<Wanted, Refused> {
    let Speakers { server, places } = speakers;
    server.admit(request.headers())?;
    let query = Query::parse(query)?;
    let coding = Coding::of(&query)
        .ok_or_else(|| Refusal::unsupported_audio("the emulator speaks mulaw and linear16"))?;
    let (head, body) = request.into_parts();
    let body = timeout(BODY_LIMIT, to_bytes(body, MAX_BODY_BYTES)).await;
    let body = body.map_err(|_| Refused::with_status(408))?;
    let body = body.map_err(|_| Refusal::SPEAK_BODY_TOO_LARGE)?;
    let content_type = head.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let text = request::parse(content_type, &body)?;
    if let Some(refused) = server.faults().at_speak_request() {
        return Err(refused);
    }
    let place = Arc::clone(places).try_acquire_owned();
    Ok(Wanted {
        query,
        coding,
        text,
        place: place.map_err(|_| Refusal::SPEAK_TOO_MANY_REQUESTS)?,
    })
}

/// Answers once there is audio.
async fn answer(
    speakers: &Speakers,
    wanted: Wanted,
    arrived: Instant,
    request_id: &str,
    mut dice: Dice,
) -> Result<Response, Refused> {
    let Wanted {
        query,
        coding,
        text,
        place,
    } = wanted;
    let flaws = speakers.server.faults().at_speech();
    if flaws.breaks == Some((Duration::ZERO, Break::Stall)) {
        tracing::info!(%request_id, "A request for speech hangs on request.");
        sleep(HANG_LIMIT).await;
        return Err(Refused::with_status(504));
    }
    let characters = text.chars().count();
    tracing::info!(%request_id, model = query.model, characters, "Speaking.");
    let latency = Duration::from_millis(dice.within(FIRST_AUDIO_MS));
    let mut audio = coding.encode(&voice::speak(&text).ulaw);
    if query.container == Container::Wav || flaws.wav_header {
        audio.splice(..0, coding.wav_header());
    }
    let begun = arrived + latency + flaws.late_by;
    sleep_until(begun).await;
    let spoken = Speech::new(audio, coding, begun, &flaws, dice, place);
    let body = Body::from_stream(stream::unfold(spoken, Speech::next));
    let mut response = with_id(Response::new(body), request_id);
    let headers = response.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).expect("names of voices are plain");
    headers.insert(CONTENT_TYPE, value(&query.content_type()));
    headers.insert("dg-model-name", value(&query.model));
    headers.insert("dg-model-uuid", HeaderValue::from_static(MODEL_ID));
    headers.insert("dg-project-id", HeaderValue::from_static(PROJECT_ID));
    headers.insert("dg-char-count", characters.into());
    Ok(response)
}

/// An answer's body, as far as it is not sent yet.
struct Speech {
    rest: Bytes,
    sent: usize,
    coding: Coding,
    begun: Instant,
    pace_percent: u32,
    /// What happens when so many bytes are sent.
    breaks: Option<(usize, Break)>,
    dice: Dice,
    _place: OwnedSemaphorePermit,
}

impl Speech {
    fn new(
        audio: Vec<u8>,
        coding: Coding,
        begun: Instant,
        flaws: &SpeechFlaws,
        dice: Dice,
        place: OwnedSemaphorePermit,
    ) -> Self {
        // What is shorter breaks off at its end.
        let breaks = flaws
            .breaks
            .map(|(after, how)| (coding.bytes_in(after).min(audio.len()), how));
        Self {
            rest: audio.into(),
            sent: 0,
            coding,
            begun,
            pace_percent: flaws.pace_percent,
            breaks,
            dice,
            _place: place,
        }
    }

    /// The next chunk, in its time.
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let spoken = self.coding.duration_of(self.sent);
        sleep_until(self.begun + spoken * 100 / self.pace_percent).await;
        let mut room = self.rest.len();
        if let Some((at, how)) = self.breaks {
            room = at - self.sent;
            if room == 0 {
                if how == Break::Stall {
                    sleep(HANG_LIMIT).await;
                }
                return Some((Err(io::ErrorKind::ConnectionAborted.into()), self));
            }
        }
        if room == 0 {
            return None;
        }
        let chunk = Duration::from_millis(self.dice.within(CHUNK_MS));
        let chunk = self.rest.split_to(self.coding.bytes_in(chunk).min(room));
        self.sent += chunk.len();
        Some((Ok(chunk), self))
    }
}

const FIRST_AUDIO_MS: std::ops::RangeInclusive<u64> = 200..=300;

/// Audio in a chunk: about 1 to 5 KiB of mu-law.
const CHUNK_MS: std::ops::RangeInclusive<u64> = 120..=640;

/// How long a client may take to send a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

const MODEL_ID: &str = "6f1d3c52-0b8e-4c57-9d0a-5e7f2a41b9c8";

#[cfg(test)]
mod tests;
