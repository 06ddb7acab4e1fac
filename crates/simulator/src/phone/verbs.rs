//! Following TwiML: what each verb does to the call.

use std::time::Duration;

use sidetone_twilio::StreamSid;
use sidetone_twilio::form::{CallStatus, Form};
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::stream::incoming::Start;
use sidetone_twilio::twiml::{self, Method, Play, RejectReason, Say, StreamTrack, Verb};
use url::{ParseError, Url};

use super::End;
use super::call::{Call, Over, Plan, StatusCallback, dialled};
use super::conversation::Callee;
use super::error::{HandshakeError, WebhookError, chain, shown};
use super::line::samples;
use super::orders::Interrupt;
use super::web::Document;

/// Documents a call may go through; more are a circle.
const MAX_DOCUMENTS: usize = 20;

/// Twilio's bound on endless loops.
const MAX_LOOPS: u32 = 1_000;

/// The scheme of [`inline_url`].
const INLINE: &str = "twiml";

/// How long a key of `<Play digits>` takes, `w` as well.
const DIGIT: Duration = Duration::from_millis(500);

impl Call {
    /// Follows a document and those it leads to, until the call is over.
    pub(super) async fn follow(&mut self, first: Result<Option<Document>, Interrupt>) -> End {
        let mut next = first;
        loop {
            next = match next {
                Ok(Some(document)) => self.follow_one(&document).await,
                Ok(None) => return End::DocumentEnded,
                Err(Interrupt::Redirect(instructions)) => {
                    self.redirected(instructions).await.map(Some)
                }
                Err(Interrupt::End(end)) => return end,
            }
        }
    }

    /// Follows one document; gives the next if it leads to one.
    ///
    /// # Errors
    /// The end of the call, or what was ordered, when it comes before the end of the document.
    async fn follow_one(&mut self, document: &Document) -> Result<Option<Document>, Interrupt> {
        let verbs = &document.response.verbs;
        self.note(format!("{}: {} verbs", shown(&document.url), verbs.len()));
        for (index, verb) in verbs.iter().enumerate() {
            self.obey()?;
            self.look_ahead(&verbs[index + 1..]);
            if let Verb::Reject { reason } = verb {
                return Err(self.reject(*reason).into());
            }
            self.entry.reach(CallStatus::InProgress);
            let next = match verb {
                Verb::Start(stream) => {
                    let stream_sid = self.dice.sid("MZ");
                    self.start(&document.url, stream_sid, stream);
                    None
                }
                Verb::Stop { stream_name } => {
                    // A stream that is just being started is stopped once it is open.
                    self.until(|call| (!call.is_opening_streams()).then_some(()))
                        .await?;
                    self.stop_stream_named(stream_name);
                    None
                }
                Verb::Connect(connect) => self.connect(document, connect).await?,
                Verb::Say(say) => {
                    self.say(say).await?;
                    None
                }
                Verb::Play(play) => {
                    self.play(document, play).await?;
                    None
                }
                Verb::Pause { length_secs } => {
                    self.pause_secs(*length_secs).await?;
                    None
                }
                Verb::Gather(gather) => Box::pin(self.gather(document, gather)).await?,
                Verb::Dial(dial) => Box::pin(self.dial(document, dial)).await?,
                Verb::Redirect(redirect) => {
                    let form = self.voice_request(CallStatus::InProgress).to_form();
                    Some(
                        self.go_on(document, &redirect.url, redirect.method, &form)
                            .await?,
                    )
                }
                Verb::Reject { .. } => unreachable!("rejected above"),
                Verb::Hangup => return Err(End::DocumentHungUp.into()),
            };
            if next.is_some() {
                return Ok(next);
            }
        }
        self.obey()?;
        Ok(None)
    }

    /// Does not take the call, if it was not taken before.
    fn reject(&mut self, reason: Option<RejectReason>) -> End {
        let was_taken = self.entry.look(|call| call.answered_at.is_some());
        if !was_taken {
            self.answered = None;
            self.last_status = match reason {
                Some(RejectReason::Busy) => CallStatus::Busy,
                None | Some(RejectReason::Rejected) => CallStatus::NoAnswer,
            };
        }
        End::Rejected
    }

    /// Notes what the rest of the document may bring: nobody talks to a stream, and nobody waits
    /// for a callee, that will not come.
    fn look_ahead(&mut self, verbs: &[Verb]) {
        let mut may_dial = false;
        self.stream_ahead = false;
        for verb in verbs {
            match verb {
                Verb::Start(_) | Verb::Connect(_) => self.stream_ahead = true,
                Verb::Dial(_) => may_dial = true,
                Verb::Redirect(_) | Verb::Gather(_) => {
                    (self.stream_ahead, may_dial) = (true, true);
                }
                Verb::Stop { .. }
                | Verb::Say(_)
                | Verb::Play(_)
                | Verb::Pause { .. }
                | Verb::Reject { .. }
                | Verb::Hangup => {}
            }
        }
        self.callee = if may_dial {
            Callee::Expected
        } else {
            Callee::Absent
        };
    }

    /// Forks the audio of the call. Relative URLs are relative to `base`.
    pub(super) fn start(&mut self, base: &Url, stream_sid: StreamSid, stream: &twiml::Stream) {
        let tracks = match stream.track {
            None | Some(StreamTrack::Inbound) => vec![MediaTrack::Inbound],
            Some(StreamTrack::Outbound) => vec![MediaTrack::Outbound],
            Some(StreamTrack::Both) => vec![MediaTrack::Inbound, MediaTrack::Outbound],
        };
        self.open_planned(base, stream_sid, stream, tracks, false);
    }

    async fn connect(
        &mut self,
        document: &Document,
        connect: &twiml::Connect,
    ) -> Result<Option<Document>, Interrupt> {
        let tracks = vec![MediaTrack::Inbound];
        let stream_sid = self.dice.sid("MZ");
        let (base, stream) = (&document.url, &connect.stream);
        self.open_planned(base, StreamSid::clone(&stream_sid), stream, tracks, true);
        let over = self.until(|call| call.take_over(&stream_sid)).await;
        if let Err(Interrupt::Redirect(_)) = over {
            self.abandon_stream(&stream_sid);
        }
        let over = over?;
        match (&connect.action, over) {
            (None, _) | (Some(_), Over::NotOpened(_)) => Ok(None),
            (Some(action), Over::Closed { .. } | Over::Broken | Over::Stopped) => {
                let form = self.voice_request(CallStatus::InProgress).to_form();
                self.go_on(document, action, connect.method, &form)
                    .await
                    .map(Some)
            }
        }
    }

    /// Begins to open a stream of a document.
    fn open_planned(
        &mut self,
        base: &Url,
        stream_sid: StreamSid,
        stream: &twiml::Stream,
        tracks: Vec<MediaTrack>,
        is_bidirectional: bool,
    ) {
        let parameters = stream.parameters.iter();
        let parameters = parameters
            .map(|p| (p.name.clone(), p.value.clone()))
            .collect();
        let start = Start {
            stream_sid: stream_sid.clone(),
            ..self.new_start(tracks, parameters)
        };
        let callback = stream.status_callback.as_ref();
        let callback = callback.map(|url| webhook_url(base, url)).transpose();
        let status = StatusCallback {
            url: callback.unwrap_or_else(|error| {
                self.alert(error.code(), Some(&stream_sid), chain(&error));
                None
            }),
            method: stream.status_callback_method,
            stream_name: stream.name.clone(),
        };
        let is_track_wrong =
            is_bidirectional && stream.track.is_some_and(|t| t != StreamTrack::Inbound);
        let url = if is_track_wrong {
            Err(HandshakeError::Track)
        } else {
            stream_url(base, &stream.url)
        };
        match url {
            Ok(url) => {
                self.open_stream(Plan {
                    start,
                    url,
                    is_bidirectional,
                    status,
                });
            }
            Err(error) => self.stream_not_opened(stream_sid, &status, error),
        }
    }

    pub(super) async fn say(&mut self, say: &Say) -> Result<(), Interrupt> {
        for _ in 0..loops(say.loop_count) {
            self.line.announce(&say.text);
            self.announced().await?;
        }
        Ok(())
    }

    async fn announced(&mut self) -> Result<(), Interrupt> {
        self.until(|call| (!call.line.is_announcing()).then_some(()))
            .await
    }

    pub(super) async fn play(&mut self, document: &Document, play: &Play) -> Result<(), Interrupt> {
        let recording = match &play.url {
            Some(url) => self.recording(document, url).await?,
            None => Vec::new(),
        };
        for _ in 0..loops(play.loop_count) {
            if !recording.is_empty() {
                self.line.play(recording.clone());
                self.announced().await?;
            }
            // Keys are signalled beside the audio, so on the line it is silent meanwhile.
            for key in play.digits.iter().flat_map(|digits| digits.chars()) {
                self.pause(DIGIT).await?;
                if key != 'w' {
                    self.entry.update(|call| call.digits.push(key));
                }
            }
        }
        Ok(())
    }

    /// The recording that `<Play>` is to play; nothing when it cannot be played, and the call goes
    /// on without it.
    async fn recording(&mut self, document: &Document, url: &str) -> Result<Vec<u8>, Interrupt> {
        let fetched = match webhook_url(&document.url, url) {
            Ok(url) => {
                self.note(format!("GET {}", shown(&url)));
                let fetching = self.web.recording(&url, &mut self.dice);
                self.unless_ordered(fetching).await?
            }
            Err(error) => Err(error),
        };
        Ok(fetched.unwrap_or_else(|error| {
            self.alert(error.code(), None, chain(&error));
            Vec::new()
        }))
    }

    pub(super) async fn pause_secs(&mut self, length_secs: Option<u32>) -> Result<(), Interrupt> {
        let secs = length_secs.unwrap_or(1);
        self.pause(Duration::from_secs(secs.into())).await
    }

    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), Interrupt> {
        let over = self.line.position().saturating_add(samples(time));
        self.until(|call| (call.line.position() >= over).then_some(()))
            .await
    }

    /// Fetches the document that the current one leads to.
    ///
    /// # Errors
    /// The end of the call when there is none, or what was ordered.
    pub(super) async fn go_on(
        &mut self,
        document: &Document,
        url: &str,
        method: Option<Method>,
        form: &Form,
    ) -> Result<Document, Interrupt> {
        match webhook_url(&document.url, url) {
            Ok(url) => {
                let method = method.unwrap_or(Method::Post);
                self.fetch_next(url, method, form).await
            }
            Err(error) => Err(self.application_error(&error).into()),
        }
    }

    /// Fetches the document that is to be followed next.
    ///
    /// # Errors
    /// The end of the call when there is none, or what was ordered.
    pub(super) async fn fetch_next(
        &mut self,
        url: Url,
        method: Method,
        form: &Form,
    ) -> Result<Document, Interrupt> {
        let fetched = match self.fetching(url, method, form) {
            Ok(fetching) => self.unless_ordered(fetching).await?,
            Err(error) => Err(error),
        };
        fetched.map_err(|error| self.application_error(&error).into())
    }

    pub(super) async fn fetch(
        &mut self,
        url: Url,
        method: Method,
        form: &Form,
    ) -> Result<Document, WebhookError> {
        let fetching = self.fetching(url, method, form)?;
        self.alongside(fetching).await
    }

    fn fetching(
        &mut self,
        url: Url,
        method: Method,
        form: &Form,
    ) -> Result<impl Future<Output = Result<Document, WebhookError>> + Send + use<>, WebhookError>
    {
        if self.documents == MAX_DOCUMENTS {
            return Err(WebhookError::TooManyDocuments {
                documents: MAX_DOCUMENTS,
            });
        }
        self.documents += 1;
        self.note(format!("{} {}", method.name(), shown(&url)));
        Ok(self.web.fetch(url, method, form, &mut self.dice))
    }

    pub(super) fn application_error(&mut self, error: &WebhookError) -> End {
        self.alert(error.code(), None, chain(error));
        End::ApplicationError
    }
}

fn loops(count: Option<u32>) -> u32 {
    match count {
        None => 1,
        Some(0) => MAX_LOOPS,
        Some(count) => count.min(MAX_LOOPS),
    }
}

/// Where a webhook of a document is.
pub(super) fn webhook_url(document: &Url, text: &str) -> Result<Url, WebhookError> {
    let url = document.join(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        let url = text.into();
        if document.cannot_be_a_base() {
            WebhookError::Relative { url }
        } else {
            WebhookError::BadUrl { url }
        }
    })
}

/// The URL of a document that came without one: nothing can be relative to it.
pub(crate) fn inline_url() -> Url {
    let url = format!("{INLINE}:inline");
    url.parse().expect("a scheme and a path are a URL")
}

/// Where a stream of a document is dialled: relative URLs are relative to the document's, with
/// the scheme of a WebSocket.
fn stream_url(document: &Url, text: &str) -> Result<Url, HandshakeError> {
    let bad = |_| HandshakeError::BadUrl { url: text.into() };
    let url = match Url::parse(text) {
        Err(ParseError::RelativeUrlWithoutBase) => {
            let mut url = document.join(text).map_err(bad)?;
            let scheme = if document.scheme() == "https" {
                "wss"
            } else {
                "ws"
            };
            url.set_scheme(scheme).expect("both schemes are special");
            url
        }
        absolute => absolute.map_err(bad)?,
    };
    match (url.scheme(), document.scheme()) {
        ("wss", _) | ("ws", "http" | INLINE) => Ok(dialled(url)),
        (scheme, _) => Err(HandshakeError::Scheme {
            scheme: scheme.into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(document: &str, text: &str, expect: &str) {
        let url = stream_url(&document.parse().unwrap(), text);
        let found = url.map_or_else(|error| error.code().to_string(), Into::into);
        assert_eq!(found, expect);
    }

    #[test]
    fn a_relative_stream_url_takes_the_scheme_that_goes_with_its_document() {
        check(
            "https://a.example/voice",
            "/twilio",
            "wss://a.example/twilio",
        );
        check(
            "http://127.0.0.1:5000/voice/x",
            "../twilio",
            "ws://127.0.0.1:5000/twilio",
        );
    }

    #[test]
    fn the_query_of_a_stream_url_is_dropped() {
        check(
            "https://a.example/",
            "wss://b.example/twilio?token=1#x",
            "wss://b.example/twilio",
        );
    }

    #[test]
    fn only_web_sockets_are_dialled_and_plain_ones_only_where_all_is_plain() {
        check(
            "http://127.0.0.1/",
            "ws://127.0.0.1:81/twilio",
            "ws://127.0.0.1:81/twilio",
        );
        check(
            "twiml:inline",
            "ws://127.0.0.1:81/twilio",
            "ws://127.0.0.1:81/twilio",
        );
        check("twiml:inline", "/twilio", "31923");
        check("https://a.example/", "ws://a.example/twilio", "31922");
        check("https://a.example/", "https://a.example/twilio", "31922");
        check("https://a.example/", "wss://", "31923");
    }
}
