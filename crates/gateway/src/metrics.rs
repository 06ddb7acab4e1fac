//! The metrics of `GET /metrics`: typed handles, so that every label value is an enum.
//!
//! Nothing here names a call: a label per call would grow without end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use sidetone_audio::Track;
use sidetone_call::event::EndReason;

mod agent;
mod label;
mod text;

pub use label::{Rejection, Webhook};
pub(crate) use label::{end_reason_name, function_end_name};
pub use text::TextFormat;

use agent::AgentMetrics;
use label::END_REASONS;

type Seconds = Counter<f64, AtomicU64>;
type ByLabel = Family<[(&'static str, &'static str); 1], Counter>;

/// All metrics. Cloning is cheap: every clone counts into the same values.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls_live: Gauge,
    calls: ByLabel,
    call_panics: Counter,
    media_frames: [Counter; 2],
    audio_gap: Seconds,
    provider_reconnects: Counter,
    replayed: Seconds,
    transcript_latency: Histogram,
    /// What is measured of agents.
    pub(crate) agent: AgentMetrics,
    subscribers: Gauge,
    interims_skipped: Counter,
    connections: Gauge,
    webhooks: ByLabel,
    rejected: ByLabel,
}

/// Counts as one in a gauge for as long as it lives.
#[derive(Debug)]
pub struct Held(Gauge);

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sidetone");
        let r = &mut registry;
        let by_track = Track::ALL.map(|track| ("track", track.name()));
        let frames = by_label(r, "media_frames", "Media messages decoded", by_track);
        let media_frames = by_track.map(|track| frames.get_or_create(&[track]).clone());
        Self {
            calls_live: register(r, "calls_live", "Calls that are on", Gauge::default()),
            calls: by_label(
                r,
                "calls",
                "Calls that have ended",
                END_REASONS.map(|reason| ("end_reason", end_reason_name(reason))),
            ),
            call_panics: register(
                r,
                "call_panics",
                "Calls that were ended by a fault of Sidetone",
                Counter::default(),
            ),
            media_frames,
            audio_gap: register(
                r,
                "audio_gap_seconds",
                "Audio that never arrived or was never heard",
                Seconds::default(),
            ),
            provider_reconnects: register(
                r,
                "provider_reconnects",
                "Connections to Deepgram after the first of their link",
                Counter::default(),
            ),
            replayed: register(
                r,
                "replayed_seconds",
                "Audio sent to Deepgram again after a reconnect",
                Seconds::default(),
            ),
            transcript_latency: register(
                r,
                "transcript_latency_seconds",
                "From the arrival of a final's last audio to its publication",
                Histogram::new([
                    0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0,
                ]),
            ),
            agent: AgentMetrics::new(r),
            subscribers: register(
                r,
                "subscribers",
                "Readers of live transcripts and events",
                Gauge::default(),
            ),
            interims_skipped: register(
                r,
                "subscriber_interims_skipped",
                "Interims that a reader was too slow to see",
                Counter::default(),
            ),
            connections: register(r, "connections", "Sockets that are open", Gauge::default()),
            webhooks: by_label(
                r,
                "webhook_requests",
                "Twilio's requests",
                Webhook::ALL.map(|kind| ("kind", kind.name())),
            ),
            rejected: by_label(
                r,
                "rejected",
                "What was refused, by reason",
                Rejection::ALL.map(|reason| ("reason", reason.name())),
            ),
            registry: Arc::new(registry),
        }
    }

    /// A call is on: its first stream started, or it was reopened.
    pub fn call_started(&self) {
        self.calls_live.inc();
    }

    /// A call that was on has ended.
    pub fn call_ended(&self, reason: EndReason) {
        self.calls_live.dec();
        self.call_ended_unheard(reason);
    }

    /// A call that never was on has ended: it was placed, and brought no stream.
    pub fn call_ended_unheard(&self, reason: EndReason) {
        self.calls
            .get_or_create(&[("end_reason", end_reason_name(reason))])
            .inc();
    }

    /// A fault of ours ended a call.
    pub fn call_panicked(&self) {
        self.call_panics.inc();
    }

    /// A media message was decoded. One atomic add.
    pub fn media_frame(&self, track: Track) {
        self.media_frames[track.index()].inc();
    }

    /// Audio that never arrived or was never heard.
    pub fn audio_gap(&self, length: Duration) {
        self.audio_gap.inc_by(length.as_secs_f64());
    }

    /// A link to Deepgram was made again.
    pub fn provider_reconnected(&self) {
        self.provider_reconnects.inc();
    }

    /// Audio was sent to Deepgram again.
    pub fn replayed(&self, length: Duration) {
        self.replayed.inc_by(length.as_secs_f64());
    }

    /// A final was published so long after its last audio had arrived.
    pub fn transcript_latency(&self, latency: Duration) {
        self.transcript_latency.observe(latency.as_secs_f64());
    }

    /// A subscriber came; it counts until the guard is dropped.
    pub fn subscriber(&self) -> Held {
        Held::of(&self.subscribers)
    }

    /// A subscriber never saw so many interims.
    pub fn interims_skipped(&self, count: u64) {
        self.interims_skipped.inc_by(count);
    }

    /// A socket was accepted; it counts until the guard is dropped.
    pub fn connection(&self) -> Held {
        Held::of(&self.connections)
    }

    /// Twilio asked or told something.
    pub fn webhook(&self, webhook: Webhook) {
        self.webhooks
            .get_or_create(&[("kind", webhook.name())])
            .inc();
    }

    /// Something from outside was refused.
    pub fn rejected(&self, reason: Rejection) {
        self.rejected
            .get_or_create(&[("reason", reason.name())])
            .inc();
    }

    /// Everything in a text format.
    pub fn encode(&self, format: TextFormat) -> String {
        format.render(&self.registry)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Held {
    fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Registers a counter with one label, every series of it at zero: one that came into being with
/// its first event would hide that event from a rate, and without any the metric itself is absent.
fn by_label<const N: usize>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    series: [(&'static str, &'static str); N],
) -> ByLabel {
    let family: ByLabel = register(registry, name, help, Family::default());
    for label in series {
        drop(family.get_or_create(&[label]));
    }
    family
}

/// Registers a metric and gives it back. The exposition adds `_total` to counters and the full stop
/// to the help.
fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(metrics: &Metrics, format: TextFormat, metric: &str) -> Vec<String> {
        let text = metrics.encode(format);
        let untouched = |line: &str| line.ends_with("\"} 0") && !line.contains("le=");
        text.lines()
            .filter(|l| l.contains(metric) && !untouched(l))
            .map(String::from)
            .collect()
    }

    #[test]
    fn every_series_exists_from_the_start() {
        let text = Metrics::new().encode(TextFormat::Prometheus);
        for line in [
            "sidetone_calls_live 0",
            "sidetone_audio_gap_seconds_total 0.0",
            "sidetone_provider_reconnects_total 0",
            "sidetone_replayed_seconds_total 0.0",
            "sidetone_subscribers 0",
            "sidetone_subscriber_interims_skipped_total 0",
            "sidetone_media_frames_total{track=\"inbound\"} 0",
            "sidetone_media_frames_total{track=\"outbound\"} 0",
            "sidetone_calls_total{end_reason=\"stop\"} 0",
            "sidetone_calls_total{end_reason=\"error\"} 0",
            "sidetone_rejected_total{reason=\"signature\"} 0",
            "sidetone_webhook_requests_total{kind=\"voice\"} 0",
            "sidetone_transcript_latency_seconds_count 0",
            "sidetone_agent_sessions_total 0",
            "sidetone_agent_reconnects_total 0",
            "sidetone_agents_lost_total 0",
            "sidetone_agent_functions_total{outcome=\"failed\"} 0",
            "sidetone_agent_latency_seconds_count{kind=\"total\"} 0",
            "sidetone_agent_clear_seconds_count 0",
        ] {
            assert!(
                text.lines().any(|l| l == line),
                "{line} is missing in\n{text}"
            );
        }
    }

    #[test]
    fn openmetrics_names_the_family_without_total_and_ends_with_the_marker() {
        let metrics = Metrics::new();
        metrics.rejected(Rejection::Signature);
        assert_eq!(
            lines_of(&metrics, TextFormat::OpenMetrics, "sidetone_rejected"),
            [
                "# HELP sidetone_rejected What was refused, by reason.",
                "# TYPE sidetone_rejected counter",
                "sidetone_rejected_total{reason=\"signature\"} 1",
            ]
        );
        assert!(
            metrics
                .encode(TextFormat::OpenMetrics)
                .ends_with("\n# EOF\n")
        );
    }

    #[test]
    fn prometheus_names_the_counter_with_total_and_has_no_marker() {
        let metrics = Metrics::new();
        metrics.call_started();
        metrics.call_ended(EndReason::Stop);
        assert_eq!(
            lines_of(&metrics, TextFormat::Prometheus, "sidetone_calls"),
            [
                "# HELP sidetone_calls_live Calls that are on.",
                "# TYPE sidetone_calls_live gauge",
                "sidetone_calls_live 0",
                "# HELP sidetone_calls_total Calls that have ended.",
                "# TYPE sidetone_calls_total counter",
                "sidetone_calls_total{end_reason=\"stop\"} 1",
            ]
        );
        assert!(!metrics.encode(TextFormat::Prometheus).contains("# EOF"));
    }

    #[test]
    fn a_histogram_keeps_its_name_in_prometheus_text() {
        let metrics = Metrics::new();
        metrics.transcript_latency(Duration::from_millis(310));
        let lines = lines_of(
            &metrics,
            TextFormat::Prometheus,
            "sidetone_transcript_latency",
        );
        assert_eq!(
            lines[1],
            "# TYPE sidetone_transcript_latency_seconds histogram"
        );
        assert!(
            lines.contains(&r#"sidetone_transcript_latency_seconds_bucket{le="0.3"} 0"#.to_owned())
        );
        assert!(
            lines.contains(&r#"sidetone_transcript_latency_seconds_bucket{le="0.4"} 1"#.to_owned())
        );
    }

    #[test]
    fn a_gauge_counts_for_as_long_as_its_guard_lives() {
        let metrics = Metrics::new();
        let guard = metrics.subscriber();
        assert!(
            metrics
                .encode(TextFormat::Prometheus)
                .contains("sidetone_subscribers 1\n")
        );
        drop(guard);
        assert!(
            metrics
                .encode(TextFormat::Prometheus)
                .contains("sidetone_subscribers 0\n")
        );
    }
}
