//! The formats of the exposition.

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// The text formats a scraper can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
}

impl TextFormat {
    /// The `Content-Type` of this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// All that is registered.
    pub(super) fn render(self, registry: &Registry) -> String {
        let mut openmetrics = String::with_capacity(16 * 1024);
        text::encode(&mut openmetrics, registry).expect("writing to a String does not fail");
        match self {
            Self::OpenMetrics => openmetrics,
            Self::Prometheus => prometheus_text(&openmetrics),
        }
    }
}

/// Turns OpenMetrics into the older Prometheus text.
///
/// They differ in what is used here by two things only: a counter's metadata there carries the name
/// with `_total`, and there is no end marker.
fn prometheus_text(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len() + 512);
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            break;
        }
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|metadata| metadata.split_once(' '))
        else {
            push_line(&mut out, &[line]);
            continue;
        };
        let kind = lines
            .next_if(|next| next.starts_with("# TYPE "))
            .and_then(|next| next.rsplit(' ').next())
            .unwrap_or("untyped");
        let suffix = if kind == "counter" { "_total" } else { "" };
        push_line(&mut out, &["# HELP ", name, suffix, " ", help]);
        push_line(&mut out, &["# TYPE ", name, suffix, " ", kind]);
    }
    out
}

fn push_line(out: &mut String, parts: &[&str]) {
    out.extend(parts.iter().copied());
    out.push('\n');
}
