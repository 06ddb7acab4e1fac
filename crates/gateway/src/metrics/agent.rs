//! What is measured of agents.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sidetone_call::event::{AgentStartedSpeaking, FunctionEnd};

use super::label::{FUNCTION_ENDS, Latency, function_end_name};
use super::{ByLabel, by_label, register};

type Histograms = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// The metrics of agents.
#[derive(Clone)]
pub(crate) struct AgentMetrics {
    sessions: Counter,
    reconnects: Counter,
    lost: Counter,
    functions: ByLabel,
    latency: Histograms,
    clear: Histogram,
}

impl AgentMetrics {
    pub(super) fn new(r: &mut Registry) -> Self {
        let by_latency = Histograms::new_with_constructor(|| {
            Histogram::new([
                0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0,
            ])
        });
        let latency = register(
            r,
            "agent_latency_seconds",
            "From the caller's last word to the agent's first, and what takes it",
            by_latency,
        );
        for kind in Latency::ALL {
            drop(latency.get_or_create(&[("kind", kind.name())]));
        }
        Self {
            sessions: register(
                r,
                "agent_sessions",
                "Sessions of agents that became ready",
                Counter::default(),
            ),
            reconnects: register(
                r,
                "agent_reconnects",
                "Sessions of agents that took up an earlier one",
                Counter::default(),
            ),
            lost: register(
                r,
                "agents_lost",
                "Agents that were lost for good during their call",
                Counter::default(),
            ),
            functions: by_label(
                r,
                "agent_functions",
                "Functions that agents called",
                FUNCTION_ENDS.map(|end| ("outcome", function_end_name(end))),
            ),
            latency,
            clear: register(
                r,
                "agent_clear_seconds",
                "From reading that the caller speaks to the clear that Twilio was sent",
                Histogram::new([
                    0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5,
                ]),
            ),
        }
    }

    /// A session is ready.
    pub(crate) fn ready(&self) {
        self.sessions.inc();
    }

    /// It took up an earlier one.
    pub(crate) fn reconnected(&self) {
        self.reconnects.inc();
    }

    /// An agent was lost for good.
    pub(crate) fn lost(&self) {
        self.lost.inc();
    }

    /// A function came to its end.
    pub(crate) fn function_called(&self, end: FunctionEnd) {
        let label = ("outcome", function_end_name(end));
        self.functions.get_or_create(&[label]).inc();
    }

    /// A turn of the agent has begun.
    pub(crate) fn started_speaking(&self, started: &AgentStartedSpeaking) {
        for (kind, latency_ms) in [
            (Latency::Total, started.total_latency_ms),
            (Latency::Voice, started.tts_latency_ms),
            (Latency::Thought, started.ttt_latency_ms),
            (Latency::Own, started.latency_ms),
        ] {
            if let Some(latency_ms) = latency_ms {
                let latency = Duration::from_millis(latency_ms);
                self.latency
                    .get_or_create(&[("kind", kind.name())])
                    .observe(latency.as_secs_f64());
            }
        }
    }

    /// A clear was sent so long after Deepgram said that the caller speaks.
    pub(crate) fn cleared(&self, after: Duration) {
        self.clear.observe(after.as_secs_f64());
    }
}
