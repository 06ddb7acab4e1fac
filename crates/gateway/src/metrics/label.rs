//! The values of the labels, each set an enum: no series comes into being by what a peer sends.

use sidetone_call::event::{EndReason, FunctionEnd};

/// Why something from outside was refused: the label `reason` of `sidetone_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A socket that did not send a complete request header in time.
    HeaderTimeout,
    /// A request header that is too long or has too many fields.
    HeaderTooLarge,
    /// Bytes that are not an HTTP request.
    NotHttp,
    /// A socket that could not shake hands for TLS.
    Tls,
    /// More sockets than the process may hold.
    TooManyConnections,
    /// More sockets than one client may hold.
    TooManyConnectionsFromClient,
    /// A request body that did not arrive in time.
    BodyTimeout,
    /// A request body that is too long.
    BodyTooLarge,
    /// A request that was not answered in time.
    RequestTimeout,
    /// No `Host`, more than one, or one that is no host.
    Host,
    /// A page of a foreign origin.
    Origin,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// Too many failures of one client.
    RateLimited,
    /// A missing or wrong `X-Twilio-Signature`.
    Signature,
    /// A request or a field that is not what it has to be.
    InvalidRequest,
    /// A profile that does not exist.
    UnknownProfile,
    /// The node is full.
    Full,
    /// The node is draining.
    Draining,
    /// A status callback that nothing proves.
    UnprovedCallback,
    /// A stream that sent a binary frame.
    BinaryFrame,
    /// A stream that sent something that is not JSON or not UTF-8.
    NotJson,
    /// A stream that sent a message with wrong fields.
    BadMessage,
    /// A media message whose payload is not base64; only that message is skipped.
    BadPayload,
    /// A stream that sent a message where it has no place, or a second `start`.
    WrongOrder,
    /// A stream that sent a message that is too long.
    MessageTooBig,
    /// A stream that sent no `start` in time.
    StartTimeout,
    /// A stream of another Twilio account.
    ForeignAccount,
    /// A stream without the parameter that proves that its call was answered here.
    StreamAuth,
    /// A stream whose call has no place.
    NoPlace,
    /// A subscriber that asked for no call in time.
    SubscriberSilent,
    /// A subscriber that asked for a call that is not there.
    UnknownCall,
    /// A subscriber for whom too much waited unread.
    SubscriberLagged,
    /// A subscriber that broke the WebSocket protocol, or sent more than any subscriber has to say.
    SubscriberProtocol,
}

/// Which of Twilio's requests came in: the label `kind` of `sidetone_webhook_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Webhook {
    /// The voice webhook.
    Voice,
    /// What comes after a bidirectional stream.
    Next,
    /// A stream's status callback.
    StreamStatus,
    /// A call's status callback.
    CallStatus,
}

/// What took the time until the agent spoke: the label `kind` of `sidetone_agent_latency_seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latency {
    /// All of it, as Deepgram tells it.
    Total,
    /// The voice, as Deepgram tells it.
    Voice,
    /// The language model, as Deepgram tells it.
    Thought,
    /// From the arrival of the caller's text to the first audio sent, as measured here.
    Own,
}

impl Rejection {
    pub(super) const ALL: [Self; 33] = [
        Self::HeaderTimeout,
        Self::HeaderTooLarge,
        Self::NotHttp,
        Self::Tls,
        Self::TooManyConnections,
        Self::TooManyConnectionsFromClient,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::RequestTimeout,
        Self::Host,
        Self::Origin,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Signature,
        Self::InvalidRequest,
        Self::UnknownProfile,
        Self::Full,
        Self::Draining,
        Self::UnprovedCallback,
        Self::BinaryFrame,
        Self::NotJson,
        Self::BadMessage,
        Self::BadPayload,
        Self::WrongOrder,
        Self::MessageTooBig,
        Self::StartTimeout,
        Self::ForeignAccount,
        Self::StreamAuth,
        Self::NoPlace,
        Self::SubscriberSilent,
        Self::UnknownCall,
        Self::SubscriberLagged,
        Self::SubscriberProtocol,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::HeaderTooLarge => "header_too_large",
            Self::NotHttp => "not_http",
            Self::Tls => "tls",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyConnectionsFromClient => "too_many_connections_from_client",
            Self::BodyTimeout => "body_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Signature => "signature",
            Self::InvalidRequest => "invalid_request",
            Self::UnknownProfile => "unknown_profile",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::UnprovedCallback => "unproved_callback",
            Self::BinaryFrame => "binary_frame",
            Self::NotJson => "not_json",
            Self::BadMessage => "bad_message",
            Self::BadPayload => "bad_payload",
            Self::WrongOrder => "wrong_order",
            Self::MessageTooBig => "message_too_big",
            Self::StartTimeout => "start_timeout",
            Self::ForeignAccount => "foreign_account",
            Self::StreamAuth => "stream_auth",
            Self::NoPlace => "no_place",
            Self::SubscriberSilent => "subscriber_silent",
            Self::UnknownCall => "unknown_call",
            Self::SubscriberLagged => "subscriber_lagged",
            Self::SubscriberProtocol => "subscriber_protocol",
        }
    }
}

impl Webhook {
    pub(super) const ALL: [Self; 4] = [
        Self::Voice,
        Self::Next,
        Self::StreamStatus,
        Self::CallStatus,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Next => "next",
            Self::StreamStatus => "stream_status",
            Self::CallStatus => "call_status",
        }
    }
}

impl Latency {
    pub(super) const ALL: [Self; 4] = [Self::Total, Self::Voice, Self::Thought, Self::Own];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Voice => "tts",
            Self::Thought => "ttt",
            Self::Own => "sidetone",
        }
    }
}

pub(super) const FUNCTION_ENDS: [FunctionEnd; 3] =
    [FunctionEnd::Ok, FunctionEnd::Failed, FunctionEnd::Cancelled];

pub(crate) const fn function_end_name(end: FunctionEnd) -> &'static str {
    match end {
        FunctionEnd::Ok => "ok",
        FunctionEnd::Failed => "failed",
        FunctionEnd::Cancelled => "cancelled",
    }
}

pub(super) const END_REASONS: [EndReason; 12] = [
    EndReason::Stop,
    EndReason::Hangup,
    EndReason::Transferred,
    EndReason::Disconnected,
    EndReason::IdleTimeout,
    EndReason::Shutdown,
    EndReason::Crashed,
    EndReason::Busy,
    EndReason::NoAnswer,
    EndReason::Failed,
    EndReason::Canceled,
    EndReason::Error,
];

pub(crate) const fn end_reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Stop => "stop",
        EndReason::Hangup => "hangup",
        EndReason::Transferred => "transferred",
        EndReason::Disconnected => "disconnected",
        EndReason::IdleTimeout => "idle_timeout",
        EndReason::Shutdown => "shutdown",
        EndReason::Crashed => "crashed",
        EndReason::Busy => "busy",
        EndReason::NoAnswer => "no_answer",
        EndReason::Failed => "failed",
        EndReason::Canceled => "canceled",
        EndReason::Error => "error",
    }
}
