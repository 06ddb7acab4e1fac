//! Asking Deepgram to speak.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use reqwest::{Client, Response};
use ring::digest::{SHA256, digest};
use sidetone_deepgram::speak::answer::Answer;
use sidetone_deepgram::speak::attempts::{Attempts, Failure};
use sidetone_deepgram::speak::params::Params;
use sidetone_deepgram::speak::pieces::{MOST_CHARS, split};
use sidetone_deepgram::speak::{self, request};
use sidetone_twilio::CallSid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{info, warn};

use super::dialer::{DialError, DialerError, authorization, http_base, refusal, text_of};
use crate::config;
use crate::outbound::{self, cause};
use crate::private::write_file;
use crate::random_u64;

/// The longest audio that is kept on disk: two minutes say what Deepgram takes at once.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// How long the audio of an answer may pause.
const SILENCE_AT_MOST: Duration = Duration::from_secs(4);

/// Connections that are kept open for the next text.
const WARM_CONNECTIONS: usize = 4;

/// Audio as it comes, until its end or a reason why there is no more.
pub(super) type Speech = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// Has Deepgram speak, and keeps what is said again and again.
pub(crate) struct Speaker {
    client: Client,
    url: String,
    authorization: HeaderValue,
    turns: Arc<Semaphore>,
    /// The folder of the audio that is kept.
    kept: Option<PathBuf>,
}

impl Speaker {
    pub(crate) fn new(
        deepgram: &config::Deepgram,
        kept: Option<PathBuf>,
    ) -> Result<Self, DialerError> {
        let client = outbound::client(&deepgram.url)
            .pool_max_idle_per_host(WARM_CONNECTIONS)
            .build();
        Ok(Self {
            client: client.map_err(DialerError::Tls)?,
            url: http_base(&deepgram.url) + speak::PATH,
            authorization: authorization(deepgram)?,
            turns: Arc::new(Semaphore::new(deepgram.max_speak)),
            kept,
        })
    }

    /// Asks for a text of at most [`MOST_CHARS`] characters. Nothing happens until the audio is
    /// polled for; dropping it gives it up.
    ///
    /// `call_sid` is for the log: which call it is for, if it is for one.
    pub(super) fn speak(
        self: &Arc<Self>,
        call_sid: Option<&CallSid>,
        params: &Params,
        text: &str,
        keep: bool,
    ) -> Speech {
        debug_assert!(text.chars().count() <= MOST_CHARS);
        let asked = Asked {
            query: params.query(),
            body: request::body(text),
        };
        let kept = self.kept.as_ref().filter(|_| keep);
        let kept = kept.map(|folder| folder.join(asked.file_name()));
        let begun = Progress::Asking {
            speaker: Arc::clone(self),
            call_sid: call_sid.map(ToString::to_string),
            asked,
            kept,
        };
        Box::pin(stream::unfold(begun, Progress::next))
    }

    /// Fetches what every call of a profile is greeted with, unless it is kept already, so that
    /// not even the first caller waits for it.
    pub(crate) async fn warm(self: Arc<Self>, profiles: Vec<(Params, String)>) {
        if self.kept.is_none() {
            return;
        }
        for (params, greeting) in profiles {
            for piece in split(&greeting) {
                let mut audio = self.speak(None, &params, piece.text(), true);
                while let Some(received) = audio.next().await {
                    if let Err(reason) = received {
                        warn!(
                            reason,
                            "A greeting could not be fetched ahead of the first call."
                        );
                    }
                }
            }
        }
    }

    /// Makes the request until it brings audio or is given up.
    async fn begin(self: &Arc<Self>, asked: &Asked) -> Result<Reading, String> {
        let mut attempts = Attempts::new(Instant::now().into_std(), random_u64());
        loop {
            let by = Instant::from_std(attempts.answer_by(Instant::now().into_std()));
            let (failure, reason) = match timeout_at(by, self.attempt(asked)).await {
                Ok(Ok(reading)) => return Ok(reading),
                Ok(Err(Attempted::Passing(failure, reason))) => (failure, reason),
                Ok(Err(Attempted::ForGood(reason))) => return Err(reason),
                Err(_elapsed) => (
                    Failure::Unanswered,
                    "Deepgram sent no audio in time".to_owned(),
                ),
            };
            match attempts.failed(Instant::now().into_std(), failure) {
                Some(again) => sleep_until(Instant::from_std(again)).await,
                None => return Err(reason),
            }
        }
    }

    /// Asks once, and waits for the first audio.
    async fn attempt(self: &Arc<Self>, asked: &Asked) -> Result<Reading, Attempted> {
        let passing = |reason: String| Attempted::Passing(Failure::Unanswered, reason);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let sending = self
            .client
            .post(format!("{}?{}", self.url, asked.query))
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(asked.body.clone());
        let response = sending.send().await;
        let response = response.map_err(|error| passing(cause(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(match refusal(response).await {
                DialError::Refused {
                    status,
                    words,
                    retry_after,
                } => Attempted::Passing(
                    Failure::Refused {
                        status,
                        retry_after,
                    },
                    words,
                ),
                DialError::Failed(reason) => passing(reason),
            });
        }
        let for_good =
            |error: speak::answer::NotTelephoneAudio| Attempted::ForGood(error.to_string());
        let answer = Answer::read(|name| text_of(response.headers(), name)).map_err(for_good)?;
        let mut reading = Reading {
            response,
            answer,
            first: Bytes::new(),
            _turn: turn.expect("the semaphore is never closed"),
        };
        match reading.codes().await {
            Ok(Some(codes)) => reading.first = codes,
            Ok(None) => return Err(passing("Deepgram sent no audio".to_owned())),
            Err(Broken::Connection(reason)) => return Err(passing(reason)),
            Err(Broken::Audio(reason)) => return Err(Attempted::ForGood(reason)),
        }
        Ok(reading)
    }
}

impl fmt::Debug for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speaker")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// A request.
struct Asked {
    query: String,
    body: String,
}

impl Asked {
    /// The same for the same text in the same voice, and telling neither.
    fn file_name(&self) -> String {
        let asked = format!("{}\n{}", self.query, self.body);
        let hash = digest(&SHA256, asked.as_bytes());
        let hex: String = hash
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        hex + ".ulaw"
    }
}

/// An attempt that brought no audio.
enum Attempted {
    /// It may be made again, if its failure is one that passes.
    Passing(Failure, String),
    ForGood(String),
}

/// Why there is no more audio.
enum Broken {
    Connection(String),
    Audio(String),
}

/// An answer that is being read.
struct Reading {
    response: Response,
    answer: Answer,
    /// Audio that was read and not passed on.
    first: Bytes,
    _turn: OwnedSemaphorePermit,
}

impl Reading {
    /// The next audio, never empty; `None` at its end.
    async fn codes(&mut self) -> Result<Option<Bytes>, Broken> {
        if !self.first.is_empty() {
            return Ok(Some(std::mem::take(&mut self.first)));
        }
        loop {
            let chunk = self.response.chunk().await;
            let chunk = chunk.map_err(|error| Broken::Connection(cause(&error)))?;
            let Some(chunk) = chunk else { return Ok(None) };
            let codes = self.answer.codes(chunk);
            let codes = codes.map_err(|error| Broken::Audio(error.to_string()))?;
            if !codes.is_empty() {
                return Ok(Some(codes));
            }
        }
    }
}

/// How far a text is spoken.
enum Progress {
    Asking {
        speaker: Arc<Speaker>,
        call_sid: Option<String>,
        asked: Asked,
        kept: Option<PathBuf>,
    },
    Reading {
        reading: Box<Reading>,
        /// Where the audio is to be kept, and what came of it so far.
        keeping: Option<(PathBuf, BytesMut)>,
    },
    Over,
}

impl Progress {
    async fn next(self) -> Option<(Result<Bytes, String>, Self)> {
        let (reading, keeping) = match self {
            Self::Asking {
                speaker,
                call_sid,
                asked,
                kept,
            } => {
                if let Some(file) = &kept
                    && let Ok(audio) = tokio::fs::read(file).await
                    && !audio.is_empty()
                {
                    return Some((Ok(audio.into()), Self::Over));
                }
                match speaker.begin(&asked).await {
                    Ok(reading) => {
                        let request_id = &reading.answer.request_id;
                        info!(call_sid, request_id, "Deepgram speaks.");
                        (Box::new(reading), kept.map(|file| (file, BytesMut::new())))
                    }
                    Err(reason) => return Some((Err(reason), Self::Over)),
                }
            }
            Self::Reading { reading, keeping } => (reading, keeping),
            Self::Over => return None,
        };
        Self::read(reading, keeping).await
    }

    async fn read(
        mut reading: Box<Reading>,
        mut keeping: Option<(PathBuf, BytesMut)>,
    ) -> Option<(Result<Bytes, String>, Self)> {
        let by = Instant::now() + SILENCE_AT_MOST;
        let reason = match timeout_at(by, reading.codes()).await {
            Ok(Ok(Some(codes))) => {
                if let Some((_, kept)) = &mut keeping {
                    kept.extend_from_slice(&codes);
                }
                keeping = keeping.filter(|(_, kept)| kept.len() <= MAX_KEPT_BYTES);
                return Some((Ok(codes), Self::Reading { reading, keeping }));
            }
            Ok(Ok(None)) => {
                if let Some((file, audio)) = keeping
                    && let Err(error) = write_file(&file, &audio).await
                {
                    warn!(file = %file.display(), %error, "A greeting could not be kept.");
                }
                return None;
            }
            Ok(Err(Broken::Connection(reason))) => format!("the audio broke off: {reason}"),
            Ok(Err(Broken::Audio(reason))) => reason,
            Err(_elapsed) => "the audio broke off: nothing more came".to_owned(),
        };
        Some((Err(reason), Self::Over))
    }
}
