//! Every setting that has one place: its path in the file, its name in the environment.

/// A setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Path in `sidetone.toml`.
    pub(crate) path: &'static str,
    /// Name in the environment.
    pub(crate) env: Option<&'static str>,
    /// Whether its value is never shown.
    pub(crate) secret: bool,
}

const fn key(path: &'static str, env: Option<&'static str>) -> Key {
    Key {
        path,
        env,
        secret: false,
    }
}

const fn secret(path: &'static str, env: Option<&'static str>) -> Key {
    Key {
        path,
        env,
        secret: true,
    }
}

/// Every setting outside `[profiles]` and `[numbers]`.
pub(crate) const KEYS: &[Key] = &[
    secret("deepgram.api_key", Some("DEEPGRAM_API_KEY")),
    key("deepgram.url", Some("DEEPGRAM_URL")),
    key("deepgram.agent_url", Some("DEEPGRAM_AGENT_URL")),
    key("twilio.account_sid", Some("TWILIO_ACCOUNT_SID")),
    secret("twilio.auth_token", Some("TWILIO_AUTH_TOKEN")),
    key("twilio.api_url", Some("TWILIO_API_URL")),
    key("twilio.allow_destinations", None),
    key("server.listen", Some("SIDETONE_LISTEN")),
    key("server.public_url", Some("SIDETONE_PUBLIC_URL")),
    key("server.data_dir", Some("SIDETONE_DATA_DIR")),
    secret("server.secret", Some("SIDETONE_SECRET")),
    key("server.tls_cert", Some("SIDETONE_TLS_CERT")),
    key("server.tls_key", Some("SIDETONE_TLS_KEY")),
    key("server.drain_secs", None),
    key("server.allowed_origins", None),
    key("server.trusted_proxies", None),
    key("server.trust_loopback", None),
    key("limits.max_calls", None),
    key("limits.start_timeout_secs", None),
    key("limits.idle_timeout_secs", None),
    key("limits.replay_window_secs", None),
    key("limits.replay_rate", None),
    key("archive.enabled", None),
    secret("archive.url", Some("DATABASE_URL")),
    key("recording.enabled", None),
    key("recording.url", None),
    key("retention.days", None),
    key("retention.max_gb", None),
    key("webhooks.url", None),
    secret("webhooks.secret", None),
    key("webhooks.types", None),
    secret("cluster.nats_url", Some("NATS_URL")),
    key("log.filter", Some("RUST_LOG")),
    key("log.format", Some("SIDETONE_LOG_FORMAT")),
];

/// Settings of later parts of Sidetone: read and checked, without effect yet.
pub(crate) const NOT_YET: &[(&str, &str)] = &[
    (
        "archive.url",
        "calls are kept in memory until this process ends",
    ),
    ("recording.enabled", "nothing is recorded"),
    ("recording.url", "nothing is recorded"),
    ("webhooks.url", "no webhooks are sent"),
    ("cluster.nats_url", "this node stays alone"),
];

/// The known path that is closest to a misspelt one.
pub(crate) fn closest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::levenshtein(found, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= 1 + candidate.len() / 5)
        .min()
        .map(|(_, candidate)| candidate)
}
