//! Following TwiML: what each verb does to the call.

use std::time::Duration;

use sidetone_twilio::StreamSid;
use sidetone_twilio::form::{CallStatus, Form};
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::twiml::{self, Method, Play, Say, StreamTrack, Verb};
use url::{ParseError, Url};

use super::End;
use super::call::{Call, Over, Plan, StatusCallback, dialled};
use super::conversation::Callee;
use super::error::{HandshakeError, WebhookError, chain, shown};
use super::line::samples;
use super::web::Document;

/// Documents a call may go through; more are a circle.
const MAX_DOCUMENTS: usize = 20;

/// Twilio's bound on endless loops.
const MAX_LOOPS: u32 = 1_000;

/// How long a key of `<Play digits>` takes, `w` as well.
const DIGIT: Duration = Duration::from_millis(500);

impl Call {
    /// Follows a document and those it leads to, until the call is over.
    pub(super) async fn follow(&mut self, first: Document) -> End {
        let mut document = first;
        loop {
            match self.follow_one(&document).await {
                Ok(Some(next)) => document = next,
                Ok(None) => return End::DocumentEnded,
                Err(end) => return end,
            }
        }
    }

    /// Follows one document; gives the next if it leads to one.
    ///
    /// # Errors
    /// The end of the call, when it comes before that of the document.
    async fn follow_one(&mut self, document: &Document) -> Result<Option<Document>, End> {
        let verbs = &document.response.verbs;
        self.note(format!("{}: {} verbs", shown(&document.url), verbs.len()));
        for (index, verb) in verbs.iter().enumerate() {
            self.look_ahead(&verbs[index + 1..]);
            let next = match verb {
                Verb::Start(stream) => {
                    self.start(document, stream);
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
                    self.play(play).await?;
                    None
                }
                Verb::Pause { length_secs } => {
                    let secs = length_secs.unwrap_or(1);
                    self.pause(Duration::from_secs(secs.into())).await?;
                    None
                }
                Verb::Dial(dial) => Box::pin(self.dial(document, dial)).await?,
                Verb::Redirect(redirect) => {
                    let form = self.voice_request(CallStatus::InProgress).to_form();
                    Some(
                        self.go_on(document, &redirect.url, redirect.method, &form)
                            .await?,
                    )
                }
                Verb::Reject { .. } => return Err(End::Rejected),
                Verb::Hangup => return Err(End::DocumentHungUp),
            };
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
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
                Verb::Redirect(_) => (self.stream_ahead, may_dial) = (true, true),
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

    fn start(&mut self, document: &Document, stream: &twiml::Stream) {
        let tracks = match stream.track {
            None | Some(StreamTrack::Inbound) => vec![MediaTrack::Inbound],
            Some(StreamTrack::Outbound) => vec![MediaTrack::Outbound],
            Some(StreamTrack::Both) => vec![MediaTrack::Inbound, MediaTrack::Outbound],
        };
        self.open_planned(document, stream, tracks, false);
    }

    async fn connect(
        &mut self,
        document: &Document,
        connect: &twiml::Connect,
    ) -> Result<Option<Document>, End> {
        let tracks = vec![MediaTrack::Inbound];
        let stream_sid = self.open_planned(document, &connect.stream, tracks, true);
        let over = self.until(|call| call.take_over(&stream_sid)).await?;
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
        document: &Document,
        stream: &twiml::Stream,
        tracks: Vec<MediaTrack>,
        is_bidirectional: bool,
    ) -> StreamSid {
        let parameters = stream.parameters.iter();
        let parameters = parameters
            .map(|p| (p.name.clone(), p.value.clone()))
            .collect();
        let start = self.new_start(tracks, parameters);
        let stream_sid = start.stream_sid.clone();
        let callback = stream.status_callback.as_ref();
        let callback = callback
            .map(|url| webhook_url(&document.url, url))
            .transpose();
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
            stream_url(&document.url, &stream.url)
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
            Err(error) => self.stream_not_opened(stream_sid.clone(), &status, error),
        }
        stream_sid
    }

    async fn say(&mut self, say: &Say) -> Result<(), End> {
        for _ in 0..loops(say.loop_count) {
            self.line.announce(&say.text);
            self.until(|call| (!call.line.is_announcing()).then_some(()))
                .await?;
        }
        Ok(())
    }

    /// Keys are signalled beside the audio, so on the line it is silent meanwhile.
    async fn play(&mut self, play: &Play) -> Result<(), End> {
        if let Some(url) = &play.url {
            self.note(format!("recordings are not played: `{url}` passed over"));
        }
        let digits = play.digits.as_deref().unwrap_or_default().chars().count();
        let time = DIGIT.saturating_mul(u32::try_from(digits).unwrap_or(u32::MAX));
        for _ in 0..loops(play.loop_count) {
            self.pause(time).await?;
        }
        Ok(())
    }

    pub(super) async fn pause(&mut self, time: Duration) -> Result<(), End> {
        let over = self.line.position().saturating_add(samples(time));
        self.until(|call| (call.line.position() >= over).then_some(()))
            .await
    }

    /// Fetches the document that the current one leads to.
    ///
    /// # Errors
    /// The end of the call, when there is none.
    pub(super) async fn go_on(
        &mut self,
        document: &Document,
        url: &str,
        method: Option<Method>,
        form: &Form,
    ) -> Result<Document, End> {
        let method = method.unwrap_or(Method::Post);
        let fetched = match webhook_url(&document.url, url) {
            Ok(url) => self.fetch(url, method, form).await,
            Err(error) => Err(error),
        };
        fetched.map_err(|error| self.application_error(&error))
    }

    pub(super) async fn fetch(
        &mut self,
        url: Url,
        method: Method,
        form: &Form,
    ) -> Result<Document, WebhookError> {
        if self.documents == MAX_DOCUMENTS {
            return Err(WebhookError::TooManyDocuments {
                documents: MAX_DOCUMENTS,
            });
        }
        self.documents += 1;
        self.note(format!("{} {}", method.name(), shown(&url)));
        let fetching = self.web.fetch(url, method, form, &mut self.dice);
        self.alongside(fetching).await
    }

    fn application_error(&mut self, error: &WebhookError) -> End {
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
    url.filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| WebhookError::BadUrl { url: text.into() })
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
        ("wss", _) | ("ws", "http") => Ok(dialled(url)),
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
        check("https://a.example/", "ws://a.example/twilio", "31922");
        check("https://a.example/", "https://a.example/twilio", "31922");
        check("https://a.example/", "wss://", "31923");
    }
}
