//! Taking a stream in: from its upgrade to a seat in its call's task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use sidetone_audio::Track;
use sidetone_call::archive::{Archive, ArchiveError};
use sidetone_call::engine::StreamStart;
use sidetone_call::event::Call;
use sidetone_twilio::CallSid;
use sidetone_twilio::signature::{stream_auth, verify_stream_auth};
use sidetone_twilio::stream::{Incoming, MediaTrack, Start};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tracing::{error, warn};

use super::socket::{self, Refusal, StreamSocket};
use super::task::Arrival;
use super::{Admission, CallFacts, Calls};
use crate::gateway::State;
use crate::http::Base;
use crate::metrics::Rejection;

/// Stream parameters that are Sidetone's own.
const PROFILE: &str = "profile";
const FROM: &str = "from";
const TO: &str = "to";
const DIRECTION: &str = "direction";
const AUTH: &str = "auth";

/// All of them.
pub(crate) const OWN_PARAMETERS: [&str; 5] = [PROFILE, FROM, TO, DIRECTION, AUTH];

/// How long the archive may take to say whether a call was here before; its audio waits meanwhile.
const ARCHIVE_PATIENCE: Duration = Duration::from_secs(2);

/// How long an `auth` parameter is believed: Twilio ends every call after a day at the latest.
const AUTH_MAX_AGE_SECS: u64 = 24 * 60 * 60;

/// What the `auth` parameters of this process are signed with.
pub(crate) struct StreamAuthSecret([u8; 32]);

impl StreamAuthSecret {
    pub(crate) fn random() -> Self {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .expect("the system has randomness");
        Self(secret)
    }

    /// The `auth` parameter of a stream of a call that the voice webhook is answering.
    pub(crate) fn sign(&self, call_sid: &CallSid) -> String {
        stream_auth(&self.0, call_sid, unix_secs())
    }

    fn proves(&self, call_sid: &CallSid, auth: &str) -> bool {
        verify_stream_auth(&self.0, call_sid, auth, unix_secs(), AUTH_MAX_AGE_SECS).is_ok()
    }
}

impl fmt::Debug for StreamAuthSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamAuthSecret(..)")
    }
}

/// Reads a stream until its `start` and hands it to its call, or refuses it.
pub(super) async fn take_in(
    state: Arc<State>,
    mut socket: StreamSocket,
    profile_of_path: Option<String>,
    base: Base,
) {
    let limit = state.config.limits.start_timeout;
    let started = timeout(limit, read_start(&mut socket)).await;
    let (call_sid, refusal) = match started {
        Ok(Ok(start)) => {
            let call_sid = start.call_sid.clone();
            match admit(&state, start, profile_of_path, base, socket).await {
                Ok(()) => return,
                Err((refused, refusal)) => {
                    socket = refused;
                    (Some(call_sid), refusal)
                }
            }
        }
        Ok(Err(Some(refusal))) => (None, refusal),
        Ok(Err(None)) => return socket::leave(socket).await,
        Err(_) => {
            let reason = format!("no start within {} s", limit.as_secs());
            let refusal = Refusal::new(CloseCode::Policy, Rejection::StartTimeout, reason);
            (None, refusal)
        }
    };
    state.metrics.rejected(refusal.rejection);
    let call_sid = call_sid.as_ref().map(tracing::field::display);
    warn!(call_sid, reason = refusal.reason, "Stream refused.");
    socket::close(socket, refusal.code, refusal.reason).await;
}

/// Reads until `start`. `Err(None)`: the peer is gone.
async fn read_start(socket: &mut StreamSocket) -> Result<Start, Option<Refusal>> {
    let mut connected = false;
    loop {
        let text = match socket.next().await {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => return Err(Some(Refusal::binary())),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Err(error)) => return Err(Refusal::of_socket(&error)),
            Some(Ok(Message::Close(_))) | None => return Err(None),
        };
        match Incoming::parse(&text) {
            Ok(Incoming::Start(start)) => return Ok(start),
            Ok(Incoming::Connected { .. }) if !connected => connected = true,
            Ok(Incoming::Unknown { .. }) => {}
            Ok(_) => return Err(Some(Refusal::out_of_place("expected start"))),
            Err(error) => return Err(Some(Refusal::unreadable(&error))),
        }
    }
}

/// Checks a stream that has started and seats it. A refused one comes back.
async fn admit(
    state: &Arc<State>,
    start: Start,
    profile_of_path: Option<String>,
    base: Base,
    socket: StreamSocket,
) -> Result<(), (StreamSocket, Refusal)> {
    let call_sid = start.call_sid.clone();
    let facts = state.calls.facts(&call_sid);
    let answered_here = facts.is_some()
        || state
            .calls
            .get(&call_sid)
            .is_some_and(|call| call.answered_here());
    let facts = facts.unwrap_or_default();
    let (profile, start) = match checked(state, start, profile_of_path, facts, answered_here) {
        Ok(checked) => checked,
        Err(refusal) => return Err((socket, refusal)),
    };
    let former = match former(&state.calls, &call_sid).await {
        Ok(former) => former,
        Err(error) => {
            error!(%call_sid, %error, "Whether the call was here before is not known.");
            let reason = "the archive is unavailable";
            return Err((
                socket,
                Refusal::new(CloseCode::Again, Rejection::NoPlace, reason),
            ));
        }
    };
    let arrival = Arrival {
        call_sid,
        profile,
        start,
        base,
        socket,
    };
    state
        .calls
        .seat(arrival, former.as_deref())
        .map_err(|(arrival, admission)| {
            let reason = match admission {
                Admission::Draining => "draining: no new calls",
                Admission::Full | Admission::Granted => "full: no place for this call",
            };
            (
                arrival.socket,
                Refusal::new(CloseCode::Again, Rejection::NoPlace, reason),
            )
        })
}

/// The call as it was when it was here before. The archive is asked only of one that is not in
/// memory: a live call takes further streams whatever becomes of the archive.
async fn former(calls: &Calls, call_sid: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
    if let Some(handle) = calls.get(call_sid) {
        return Ok(Some(handle.snapshot()));
    }
    let asked = timeout(ARCHIVE_PATIENCE, calls.archive().call(call_sid)).await;
    asked.unwrap_or_else(|_| Err(ArchiveError::Unavailable("no answer in time".to_owned())))
}

/// Whether the stream may come, with which profile, and what its call's engine is told of it.
fn checked(
    state: &State,
    start: Start,
    profile_of_path: Option<String>,
    facts: CallFacts,
    answered_here: bool,
) -> Result<(String, StreamStart), Refusal> {
    let config = &state.config;
    let policy = |rejection, reason: String| Refusal::new(CloseCode::Policy, rejection, reason);

    if config
        .twilio
        .account_sid
        .as_ref()
        .is_some_and(|ours| *ours != start.account_sid)
    {
        let reason = format!("start.accountSid {} is not ours", start.account_sid);
        return Err(policy(Rejection::ForeignAccount, reason));
    }
    let mut parameters = start.custom_parameters;
    let auth = parameters.remove(AUTH);
    let proved = auth.is_some_and(|auth| state.stream_auth.proves(&start.call_sid, &auth));
    if answered_here && !proved {
        let reason = "the parameter auth is missing or wrong".to_owned();
        return Err(policy(Rejection::StreamAuth, reason));
    }
    let to = facts.to.or(parameters.remove(TO));
    let of_number = || to.as_ref().and_then(|to| config.numbers.get(to)).cloned();
    let of_parameter = parameters.remove(PROFILE);
    let name = profile_of_path
        .or(of_parameter)
        .or_else(of_number)
        .unwrap_or_else(|| config.default_profile.clone());
    let Some(profile) = config.profiles.get(&name) else {
        let existing = config
            .profiles
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        warn!(call_sid = %start.call_sid, profile = name, existing, "No such profile.");
        return Err(policy(
            Rejection::UnknownProfile,
            format!("no profile `{name}`"),
        ));
    };
    let tracks: Vec<Track> = start.tracks.iter().map(|track| track_of(*track)).collect();
    let bidirectional = profile.bidirectional && tracks == [Track::Inbound];
    let start = StreamStart {
        stream_sid: start.stream_sid,
        account_sid: start.account_sid,
        bidirectional,
        tracks,
        from: facts.from.or(parameters.remove(FROM)),
        to,
        direction: facts.direction.or(parameters.remove(DIRECTION)),
        parameters,
    };
    Ok((name, start))
}

/// The track that a media message names.
pub(super) const fn track_of(track: MediaTrack) -> Track {
    match track {
        MediaTrack::Inbound => Track::Inbound,
        MediaTrack::Outbound => Track::Outbound,
    }
}

fn unix_secs() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}
