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
    key("deepgram.max_speak", None),
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

/// The name of the variable that says where the configuration file is; no setting of its own.
pub(crate) const CONFIG_FILE: &str = "SIDETONE_CONFIG";

/// What names in the environment begin with that may be meant for Sidetone.
const PREFIXES: [&str; 3] = [OWN_PREFIX, "DEEPGRAM_", "TWILIO_"];

/// What only Sidetone's own names begin with.
pub(crate) const OWN_PREFIX: &str = "SIDETONE_";

/// Whether a name in the environment is one that Sidetone reads.
pub(crate) fn is_variable(name: &str) -> bool {
    variables().any(|known| known == name)
}

/// The variable that is closest to a misspelt one. Only what stands behind their common prefix is
/// compared, of which short names have little more.
pub(crate) fn closest_variable(found: &str) -> Option<&'static str> {
    PREFIXES.into_iter().find_map(|prefix| {
        let known = variables().filter_map(|known| known.strip_prefix(prefix));
        let near = closest(found.strip_prefix(prefix)?, known)?;
        variables().find(|known| known.strip_prefix(prefix) == Some(near))
    })
}

fn variables() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| key.env).chain([CONFIG_FILE])
}

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
