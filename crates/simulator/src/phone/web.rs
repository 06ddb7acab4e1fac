//! Webhooks and callbacks, requested as Twilio requests them.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use rustls::crypto::CryptoProvider;
use secrecy::{ExposeSecret, SecretString};
use sidetone_audio::wav;
use sidetone_twilio::form::Form;
use sidetone_twilio::signature;
use sidetone_twilio::twiml::{Method, Response, Say, Verb};
use url::Url;

use super::Fault;
use super::error::{WebhookError, excerpt};
use crate::dice::Dice;

/// How long a webhook may take, its body included.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// A recording of some minutes.
const MAX_RECORDING_BYTES: usize = 16 << 20;

/// Makes requests in Twilio's name.
#[derive(Debug)]
pub(super) struct Web {
    auth_token: Option<SecretString>,
    plain: Option<Client>,
    secure: Option<Client>,
    has_undocumented_fields: bool,
    tells_twice: bool,
}

/// A document to follow.
#[derive(Debug)]
pub(super) struct Document {
    /// Where it came from; its relative URLs are relative to that.
    pub(super) url: Url,
    pub(super) response: Response,
}

impl Web {
    pub(super) fn new(auth_token: Option<SecretString>, faults: &[Fault]) -> Self {
        Self {
            auth_token,
            plain: None,
            secure: None,
            has_undocumented_fields: faults.contains(&Fault::UndocumentedFields),
            tells_twice: faults.contains(&Fault::DoubledCallbacks),
        }
    }

    /// Asks a voice webhook what to do.
    pub(super) fn fetch(
        &mut self,
        url: Url,
        method: Method,
        form: &Form,
        dice: &mut Dice,
    ) -> impl Future<Output = Result<Document, WebhookError>> + Send + use<> {
        let request = self.request(&url, method, form, dice);
        async move {
            let response = twiml(answer(request?, Response::MAX_BYTES).await?)?;
            Ok(Document { url, response })
        }
    }

    /// Fetches a recording: mu-law, 8000 Hz, of its first channel.
    pub(super) fn recording(
        &mut self,
        url: &Url,
        dice: &mut Dice,
    ) -> impl Future<Output = Result<Vec<u8>, WebhookError>> + Send + use<> {
        let request = self.request(url, Method::Get, &Form::default(), dice);
        async move {
            let answer = answer(request?, MAX_RECORDING_BYTES).await?;
            let recording = wav::read(&answer.body).map_err(WebhookError::Recording)?;
            Ok(recording.lanes.into_iter().next().unwrap_or_default())
        }
    }

    /// Tells a status callback; its answer does not matter but for its status.
    pub(super) fn tell(
        &mut self,
        url: &Url,
        method: Method,
        form: &Form,
        dice: &mut Dice,
    ) -> impl Future<Output = Result<(), WebhookError>> + Send + use<> {
        let request = self.request(url, method, form, dice);
        let tells_twice = self.tells_twice;
        async move {
            let request = request?;
            let again = request.try_clone().filter(|_| tells_twice);
            let told = tell(request).await;
            match again {
                Some(request) => told.and(tell(request).await),
                None => told,
            }
        }
    }

    /// A signed request with the headers that real ones have.
    fn request(
        &mut self,
        url: &Url,
        method: Method,
        form: &Form,
        dice: &mut Dice,
    ) -> Result<RequestBuilder, WebhookError> {
        let client = self.client(url).map_err(WebhookError::Unreachable)?;
        let mut form = Cow::Borrowed(form);
        if self.has_undocumented_fields {
            let form = form.to_mut();
            form.push("CallQuality", "{\"mos\": 4.2}");
            form.push("Empty", "");
        }
        let form = form.as_ref();
        let mut request = match method {
            Method::Post => client
                .post(url.clone())
                .header(
                    CONTENT_TYPE,
                    "application/x-www-form-urlencoded; charset=UTF-8",
                )
                .body(form.encode()),
            Method::Get => client.get(with_query(url, form)),
        };
        if let Some(token) = &self.auth_token {
            let token = token.expose_secret();
            let signature = match method {
                Method::Post => signature::sign(token, signed(url.clone()).as_str(), form.pairs()),
                Method::Get => {
                    let no_params: [(&str, &str); 0] = [];
                    signature::sign(token, signed(with_query(url, form)).as_str(), &no_params)
                }
            };
            request = request.header(signature::HEADER, signature);
        }
        Ok(request
            .header(USER_AGENT, "TwilioProxy/1.1")
            .header(ACCEPT, "*/*")
            .header("I-Twilio-Idempotency-Token", dice.uuid())
            .header("X-Home-Region", "us1")
            .header(CONNECTION, "close"))
    }

    fn client(&mut self, url: &Url) -> Result<Client, reqwest::Error> {
        let builder = Client::builder()
            .timeout(ANSWER_LIMIT)
            .redirect(Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0);
        let (slot, builder) = if url.scheme() == "https" {
            (&mut self.secure, builder)
        } else {
            // Without TLS no certificates are needed, and there may be none on the machine.
            (&mut self.plain, builder.tls_certs_only([]))
        };
        if slot.is_none() {
            if CryptoProvider::get_default().is_none() {
                // Fails when another thread was quicker, and its provider is as good.
                drop(rustls::crypto::ring::default_provider().install_default());
            }
            *slot = Some(builder.build()?);
        }
        Ok(slot.clone().expect("filled above"))
    }
}

/// The URL as Twilio signs it: of https without its port.
fn signed(mut url: Url) -> Url {
    if url.scheme() == "https" {
        url.set_port(None)
            .expect("an https URL can do without a port");
    }
    url
}

fn with_query(url: &Url, form: &Form) -> Url {
    let mut url = url.clone();
    if form.pairs().is_empty() {
        return url;
    }
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&{}", form.encode()),
        _ => form.encode(),
    };
    url.set_query(Some(&query));
    url
}

/// What a webhook answered with a status of 2xx.
struct Answer {
    content_type: Option<String>,
    body: Vec<u8>,
}

async fn tell(request: RequestBuilder) -> Result<(), WebhookError> {
    answer(request, Response::MAX_BYTES).await.map(drop)
}

async fn answer(request: RequestBuilder, max_bytes: usize) -> Result<Answer, WebhookError> {
    let mut response = request.send().await.map_err(transport_error)?;
    let status = response.status();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(transport_error)? {
        if body.len() + part.len() > max_bytes {
            return Err(WebhookError::TooLong);
        }
        body.extend_from_slice(&part);
    }
    if !status.is_success() {
        return Err(WebhookError::Refused {
            status,
            body: excerpt(&body),
        });
    }
    Ok(Answer { content_type, body })
}

fn transport_error(error: reqwest::Error) -> WebhookError {
    if error.is_timeout() {
        WebhookError::TimedOut
    } else {
        WebhookError::Unreachable(error.without_url())
    }
}

/// The document in an answer. Plain text is one too: Twilio speaks it.
fn twiml(answer: Answer) -> Result<Response, WebhookError> {
    let content_type = answer.content_type.unwrap_or_default();
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let text = String::from_utf8(answer.body).map_err(|_| WebhookError::NotText)?;
    match media_type.as_str() {
        "text/xml" | "application/xml" | "text/html" => Ok(Response::parse(&text)?),
        "text/plain" => Ok(Response {
            verbs: vec![Verb::Say(Say::new(text))],
        }),
        "" => Err(WebhookError::ContentType {
            found: "of nothing".into(),
        }),
        _ => Err(WebhookError::ContentType {
            found: format!("`{media_type}`"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_signed_without_its_port_and_http_with_it() {
        let text = |url: &str| signed(url.parse().unwrap()).to_string();
        assert_eq!(
            text("https://a.example:8443/v?x=1"),
            "https://a.example/v?x=1"
        );
        assert_eq!(text("http://127.0.0.1:5000/v"), "http://127.0.0.1:5000/v");
    }

    #[test]
    fn the_fields_of_a_get_follow_the_query_that_is_there() {
        let mut form = Form::default();
        form.push("From", "+1415");
        let text = |url: &str| with_query(&url.parse().unwrap(), &form).to_string();
        assert_eq!(
            text("http://a.example/v?x=1"),
            "http://a.example/v?x=1&From=%2B1415"
        );
        assert_eq!(
            text("http://a.example/v"),
            "http://a.example/v?From=%2B1415"
        );
    }

    #[track_caller]
    fn check_code(content_type: Option<&str>, body: &[u8], code: u32) {
        let answer = Answer {
            content_type: content_type.map(Into::into),
            body: body.to_vec(),
        };
        assert_eq!(twiml(answer).unwrap_err().code(), code);
    }

    #[test]
    fn only_twiml_and_plain_text_can_be_followed() {
        let body = b"<Response/>".to_vec();
        for content_type in ["text/xml", "Application/XML; charset=utf-8", "text/html"] {
            let content_type = Some(content_type.into());
            assert_eq!(
                twiml(Answer {
                    content_type,
                    body: body.clone()
                })
                .unwrap()
                .verbs,
                []
            );
        }
        check_code(None, &body, 12300);
        check_code(Some("application/json"), &body, 12300);
        check_code(Some("text/xml"), b"", 12100);
        check_code(Some("text/xml"), b"<Response>\xff</Response>", 12100);
    }
}
