//! Twilio's requests by hand: the voice webhook and the status callbacks.

use std::collections::BTreeMap;

use sidetone_twilio::signature;

use crate::serve::{Serve, soon};
use crate::twilio::{ACCOUNT, call_sid, stream_sid};

pub(crate) const FROM: &str = "+14155550123";
pub(crate) const TO: &str = "+15005550006";

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        let content_type = response.headers().get("content-type");
        Self {
            status: response.status().as_u16(),
            content_type: content_type
                .map_or("", |it| it.to_str().unwrap())
                .to_owned(),
            body: response.text().await.unwrap(),
        }
    }

    /// The TwiML without its declaration.
    #[track_caller]
    pub(crate) fn twiml(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.content_type.starts_with("text/xml"), "{self:?}");
        let declared = self
            .body
            .strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        declared.expect("a declaration comes first").trim()
    }

    /// The value of a `<Parameter>` of its stream.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .body
            .split_once(&format!(r#"<Parameter name="{name}" value=""#))?;
        value.split('"').next()
    }

    /// The stable `code` of a problem document.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status, "{self:?}");
        assert!(
            problem["type"].is_string() && problem["title"].is_string(),
            "{self:?}"
        );
        assert!(problem["detail"].is_string(), "{self:?}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// A request of Twilio that is being put together.
pub(crate) struct Request<'a> {
    serve: &'a Serve,
    path: String,
    fields: Vec<(String, String)>,
    headers: BTreeMap<&'static str, String>,
}

/// A request to `path` with these fields.
pub(crate) fn to<'a>(serve: &'a Serve, path: &str, fields: &[(&str, &str)]) -> Request<'a> {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Request {
        serve,
        path: path.to_owned(),
        fields: fields.collect(),
        headers: BTreeMap::new(),
    }
}

/// The voice webhook of an incoming call.
pub(crate) fn voice<'a>(serve: &'a Serve, path: &str, call: u32) -> Request<'a> {
    let call_sid = call_sid(call);
    let fields = [
        ("AccountSid", ACCOUNT),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", &call_sid),
        ("CallStatus", "ringing"),
        ("Called", TO),
        ("Caller", FROM),
        ("Direction", "inbound"),
        ("From", FROM),
        ("To", TO),
    ];
    to(serve, path, &fields)
}

/// The callback that says what became of a call.
pub(crate) fn call_status<'a>(serve: &'a Serve, call: u32, status: &str) -> Request<'a> {
    let (call_sid, path) = (call_sid(call), "/twilio/call-status");
    let fields = [
        ("AccountSid", ACCOUNT),
        ("CallSid", &call_sid),
        ("CallStatus", status),
    ];
    to(serve, path, &fields)
}

/// The callback that says what became of a stream.
pub(crate) fn stream_status<'a>(
    serve: &'a Serve,
    call: u32,
    stream: u32,
    event: &str,
) -> Request<'a> {
    let (call_sid, stream_sid) = (call_sid(call), stream_sid(stream));
    let fields = [
        ("AccountSid", ACCOUNT),
        ("CallSid", &call_sid),
        ("StreamSid", &stream_sid),
        ("StreamName", "sidetone"),
        ("StreamEvent", event),
        ("Timestamp", "2026-01-02T03:04:05.678901234Z"),
    ];
    to(serve, "/twilio/stream-status", &fields)
}

impl Request<'_> {
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// Signs it as a POST to `url`.
    pub(crate) fn signed(self, token: &str, url: &str) -> Self {
        let signature = signature::sign(token, url, &self.fields);
        self.header("x-twilio-signature", signature)
    }

    /// Posts it, and sees that it is answered as a callback is.
    pub(crate) async fn taken(self) {
        let answer = self.post().await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    pub(crate) async fn post(self) -> Answer {
        let client = reqwest::Client::new();
        let request = client.post(self.serve.http(&self.path)).form(&self.fields);
        Self::send(request, self.headers).await
    }

    /// Sends it as a GET, which has the fields in its query.
    pub(crate) async fn get(self) -> Answer {
        let request = reqwest::Client::new().get(self.serve.http(&self.target()));
        Self::send(request, self.headers).await
    }

    /// Path and query of a GET.
    pub(crate) fn target(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        format!(
            "{}?{}",
            self.path,
            query.extend_pairs(&self.fields).finish()
        )
    }

    async fn send(
        mut request: reqwest::RequestBuilder,
        headers: BTreeMap<&'static str, String>,
    ) -> Answer {
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answering = async { Answer::read(request.send().await.unwrap()).await };
        soon("the answer to a request", answering).await
    }
}
