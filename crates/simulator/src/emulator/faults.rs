//! The faults that are set, whom they hit, and how often they did.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sidetone_deepgram::listen::query::Query;
use tokio::sync::watch;

use super::agent::flaws::{Accident, AgentFlaws};
use super::fault::{AgentHandshakeFault, Fault, HandshakeFault, Kind, RequestFault};
use super::flaws::{Flaws, Moment, SpeechFlaws};
use super::refusal::Refused;

/// The faults of an emulator, which all its connections ask.
#[derive(Clone, Debug)]
pub(super) struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    set: Mutex<Vec<Armed>>,
    /// Told when open streams have to ask again.
    struck: watch::Sender<()>,
}

/// A fault, and the connections that could have met it.
#[derive(Debug)]
struct Armed {
    fault: Fault,
    met: HashMap<CallKey, u32>,
}

/// A call is told by the `extra` of its streams, or by the tags of its agent.
type CallKey = Vec<(String, String)>;

/// Whose connection it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    key: CallKey,
    tags: Vec<String>,
}

impl Caller {
    pub(super) fn of(query: &Query) -> Self {
        Self {
            key: query.extra.clone(),
            tags: query.tags.clone(),
        }
    }

    /// A call that is told by its labels alone.
    pub(super) fn tagged(tags: Vec<String>) -> Self {
        let extra = |tag: &String| (String::new(), tag.clone());
        Self {
            key: tags.iter().map(extra).collect(),
            tags,
        }
    }

    /// Whether one of its labels holds this text.
    fn is_labelled(&self, text: &str) -> bool {
        let extras = self.key.iter().map(|(_, value)| value);
        extras.chain(&self.tags).any(|label| label.contains(text))
    }
}

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(Arc::new(Shared {
            set: Mutex::new(armed(faults)),
            struck: watch::Sender::new(()),
        }))
    }

    /// The faults that are set, as they are written.
    pub(super) fn list(&self) -> Vec<String> {
        let set = self.lock();
        set.iter().map(|armed| armed.fault.to_string()).collect()
    }

    /// Sets these faults instead of all others, for streams that open later; when they `strike`,
    /// what happens at a moment of a stream happens to the open ones too, counted from now.
    pub(super) fn replace(&self, faults: Vec<Fault>, strike: bool) {
        let mut set = self.lock();
        *set = armed(faults);
        if strike {
            self.0.struck.send_replace(());
        }
    }

    /// What a handshake meets.
    pub(super) fn at_handshake(&self, caller: &Caller) -> Option<HandshakeFault> {
        met(&mut self.lock(), caller, Kind::handshake).next()
    }

    /// What a stream that opens now has wrong.
    pub(super) fn at_opening(&self, caller: &Caller) -> Flaws {
        let mut flaws = Flaws::default();
        for moment in met(&mut self.lock(), caller, Kind::moment) {
            let (after, moment) = moment;
            flaws.moments.push((after.unwrap_or(USUAL_MOMENT), moment));
        }
        for habit in met(&mut self.lock(), caller, Kind::habit) {
            habit.apply(&mut flaws);
        }
        flaws
    }

    /// What strikes a stream from now on: asked for before its flaws, it misses nothing.
    pub(super) fn strikes(&self) -> Strikes {
        Strikes {
            faults: self.clone(),
            struck: self.0.struck.subscribe(),
        }
    }

    /// What happens to an open stream that is struck, and after what time.
    pub(super) fn striking(&self, caller: &Caller) -> Vec<(Duration, Moment)> {
        met(&mut self.lock(), caller, Kind::moment)
            .map(|(after, moment)| (after.unwrap_or(Duration::ZERO), moment))
            .collect()
    }

    /// How a request for speech is refused.
    pub(super) fn at_speak_request(&self) -> Option<Refused> {
        met(&mut self.lock(), &Caller::default(), Kind::speak_refusal).next()
    }

    /// What an answer to a request for speech has wrong.
    pub(super) fn at_speech(&self) -> SpeechFlaws {
        let mut flaws = SpeechFlaws::default();
        for fault in met(&mut self.lock(), &Caller::default(), Kind::speech) {
            fault.apply(&mut flaws);
        }
        flaws
    }

    /// What a request to Twilio's REST API meets.
    pub(super) fn at_request(&self) -> Option<RequestFault> {
        met(&mut self.lock(), &Caller::default(), Kind::request).next()
    }

    /// What the handshake of an agent meets.
    pub(super) fn at_agent_handshake(&self) -> Option<AgentHandshakeFault> {
        met(&mut self.lock(), &Caller::default(), Kind::agent_handshake).next()
    }

    /// What an agent's session has wrong, once its Settings tell whose it is.
    pub(super) fn at_agent_settings(&self, caller: &Caller) -> AgentFlaws {
        let mut flaws = AgentFlaws {
            accidents: self.striking_agent(caller),
            ..AgentFlaws::default()
        };
        for habit in met(&mut self.lock(), caller, Kind::agent_habit) {
            habit.apply(&mut flaws);
        }
        flaws
    }

    /// What happens to an agent's open session that is struck.
    pub(super) fn striking_agent(&self, caller: &Caller) -> Vec<Accident> {
        met(&mut self.lock(), caller, Kind::agent_accident).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.set.lock().expect("nothing panics while it is held")
    }
}

/// What strikes an open stream.
pub(super) struct Strikes {
    faults: Faults,
    struck: watch::Receiver<()>,
}

impl Strikes {
    /// The faults of the next strike. Cancel-safe.
    pub(super) async fn next(&mut self) -> &Faults {
        if self.struck.changed().await.is_err() {
            // The emulator is gone, and nobody strikes any more.
            std::future::pending::<()>().await;
        }
        &self.faults
    }
}

impl Armed {
    /// Counts a connection of this caller; answers whether it is hit.
    fn hits(&mut self, caller: &Caller) -> bool {
        let Fault {
            call, skip, times, ..
        } = &self.fault;
        if call.as_ref().is_some_and(|text| !caller.is_labelled(text)) {
            return false;
        }
        if self.met.len() >= MAX_CALLS && !self.met.contains_key(&caller.key) {
            return false;
        }
        let met = self.met.entry(caller.key.clone()).or_default();
        *met = met.saturating_add(1);
        let after_spared = met.saturating_sub(*skip);
        (1..=*times).contains(&after_spared)
    }
}

/// What hits this caller of what `could`; only what is taken from the iterator is counted.
fn met<T>(
    set: &mut [Armed],
    caller: &Caller,
    could: impl Fn(&Kind) -> Option<T>,
) -> impl Iterator<Item = T> {
    set.iter_mut().filter_map(move |armed| {
        let met = could(&armed.fault.kind)?;
        armed.hits(caller).then_some(met)
    })
}

fn armed(faults: Vec<Fault>) -> Vec<Armed> {
    let armed = |fault| Armed {
        fault,
        met: HashMap::new(),
    };
    faults.into_iter().map(armed).collect()
}

/// When what is not told otherwise happens to a stream: in the middle of someone's sentence.
pub(super) const USUAL_MOMENT: Duration = Duration::from_secs(4);

/// More calls than a fault can keep apart are spared.
const MAX_CALLS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(written: &[&str]) -> Faults {
        Faults::new(written.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn caller(call_sid: &str) -> Caller {
        let query =
            format!("encoding=mulaw&sample_rate=8000&tag=sidetone&extra=call_sid:{call_sid}");
        Caller::of(&Query::parse(&query).unwrap())
    }

    /// Which of so many connections of a call are dropped.
    fn dropped(faults: &Faults, call_sid: &str, connections: usize) -> Vec<bool> {
        let opened = (0..connections).map(|_| faults.at_opening(&caller(call_sid)));
        opened.map(|flaws| !flaws.moments.is_empty()).collect()
    }

    #[test]
    fn each_call_meets_a_fault_by_itself() {
        let faults = faults(&["drop"]);
        assert_eq!(dropped(&faults, "CA1", 3), [true, false, false]);
        assert_eq!(dropped(&faults, "CA2", 2), [true, false]);
    }

    #[test]
    fn so_many_connections_are_spared_and_so_many_hit() {
        let faults = faults(&["drop:skip=1,times=2"]);
        assert_eq!(dropped(&faults, "CA1", 4), [false, true, true, false]);
    }

    #[test]
    fn a_fault_can_be_kept_to_some_calls() {
        for kept_to in ["drop:call=CA1", "drop:call=A1"] {
            let faults = faults(&[kept_to]);
            assert_eq!(dropped(&faults, "CA2", 1), [false]);
            assert_eq!(dropped(&faults, "CA1", 1), [true]);
        }
        let faults = faults(&["drop:call=sidetone"]);
        assert_eq!(dropped(&faults, "CA2", 1), [true]);
    }

    #[test]
    fn a_refused_handshake_is_no_opened_stream() {
        let faults = faults(&["refuse:times=2", "drop"]);
        let caller = caller("CA1");
        assert!(faults.at_handshake(&caller).is_some());
        assert!(faults.at_handshake(&caller).is_some());
        assert_eq!(faults.at_handshake(&caller), None);
        assert_eq!(dropped(&faults, "CA1", 2), [true, false]);
    }

    #[test]
    fn requests_are_counted_together() {
        let faults = faults(&["twilio-refuse:status=503,times=2"]);
        let statuses: Vec<_> = (0..3)
            .map(|_| faults.at_request().map(|fault| fault.status))
            .collect();
        assert_eq!(statuses, [Some(503), Some(503), None]);
    }

    #[tokio::test]
    async fn a_strike_hits_what_is_open_at_once_and_counts() {
        let faults = faults(&[]);
        let mut strikes = faults.strikes();
        assert!(faults.at_opening(&caller("CA1")).moments.is_empty());
        faults.replace(vec!["drop".parse().unwrap()], true);
        let striking = strikes.next().await.striking(&caller("CA1"));
        assert_eq!(striking, [(Duration::ZERO, Moment::Drop)]);
        assert_eq!(dropped(&faults, "CA1", 1), [false]);
    }
}
