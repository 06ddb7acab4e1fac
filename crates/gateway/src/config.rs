//! What the gateway is told. Built by the command line; nothing here reads files or environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
pub use sidetone_call::engine::Links;
use sidetone_deepgram::listen::params::Params;
use sidetone_twilio::AccountSid;
use url::Url;

/// The gateway's configuration. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// How Twilio and browsers reach it; when set, only it counts.
    pub public_url: Option<Url>,
    /// Start in public without Twilio's auth token.
    pub insecure: bool,
    /// `None`: on unless a public URL or a non-loopback address is configured.
    pub trust_loopback: Option<bool>,
    /// Origins, beside its own, whose pages may use it.
    pub allowed_origins: Vec<String>,
    /// Serve TLS itself.
    pub tls: Option<Tls>,
    /// Proxies whose `X-Forwarded-*` headers are believed: addresses or CIDR ranges.
    pub trusted_proxies: Vec<String>,
    /// Twilio's account.
    pub twilio: Twilio,
    /// Deepgram's address and key.
    pub deepgram: Deepgram,
    /// What happens on a call, by name. The built-in ones are added by the command line.
    pub profiles: BTreeMap<String, Profile>,
    /// The profile of calls that name none.
    pub default_profile: String,
    /// Called number to profile.
    pub numbers: BTreeMap<String, String>,
    /// Limits.
    pub limits: Limits,
    /// How long live calls may go on after the first signal.
    pub drain: Duration,
}

impl Config {
    /// Listens on these addresses and hears with this Deepgram; everything else is as when nothing
    /// is configured. There are no profiles: they are the caller's to add.
    pub fn new(listen: Vec<SocketAddr>, deepgram: Deepgram) -> Self {
        Self {
            listen,
            public_url: None,
            insecure: false,
            trust_loopback: None,
            allowed_origins: Vec::new(),
            tls: None,
            trusted_proxies: Vec::new(),
            twilio: Twilio::default(),
            deepgram,
            profiles: BTreeMap::new(),
            default_profile: "default".to_owned(),
            numbers: BTreeMap::new(),
            limits: Limits::default(),
            drain: Duration::from_secs(30),
        }
    }

    /// The first address that others than this machine can reach.
    pub fn public_address(&self) -> Option<SocketAddr> {
        self.listen
            .iter()
            .copied()
            .find(|address| !address.ip().is_loopback())
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate, then those that lead to its root.
    pub certificates_pem: String,
    /// The key, not encrypted.
    pub key_pem: SecretString,
}

/// Twilio's account.
#[derive(Clone, Debug)]
pub struct Twilio {
    /// When known, `start.accountSid` must be it.
    pub account_sid: Option<AccountSid>,
    /// Signatures are required when there is one; several during rotation.
    pub auth_tokens: Vec<SecretString>,
    /// Base URL of the REST API with scheme http or https; the version path may be missing.
    pub api_url: Url,
}

impl Twilio {
    /// Where Twilio's own REST API is.
    pub const API_URL: &str = "https://api.twilio.com";
}

/// No account, and Twilio's own REST API.
impl Default for Twilio {
    fn default() -> Self {
        Self {
            account_sid: None,
            auth_tokens: Vec::new(),
            api_url: Url::parse(Self::API_URL).expect("a URL is written there"),
        }
    }
}

/// Deepgram's address and key.
#[derive(Clone, Debug)]
pub struct Deepgram {
    /// The key.
    pub api_key: SecretString,
    /// Base URL with scheme ws or wss and without `/v1/listen`.
    pub url: Url,
}

/// What happens on a call.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Said before dial or agent.
    pub announce: Option<Announce>,
    /// Transcribe.
    pub listen: Option<Listen>,
    /// What the caller gets meanwhile.
    pub dial: Option<Dial>,
    /// When the node is full or draining.
    pub overflow: Option<Overflow>,
    /// Whether the profile answers with a bidirectional stream (`agent` or `speak`).
    pub bidirectional: bool,
}

/// A sentence for the caller.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The sentence.
    pub text: String,
    /// `voice` of `<Say>`.
    pub voice: Option<String>,
    /// `language` of `<Say>`.
    pub language: Option<String>,
}

/// How a profile transcribes.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Deepgram's parameters, checked.
    pub params: Params,
    /// Between two sends of audio.
    pub flush: Duration,
    /// How a stream's tracks are shared among connections.
    pub links: Links,
}

impl Listen {
    /// How tracks are shared in fact: each has its own connection when the language is `multi`,
    /// since of several channels Deepgram then hears one only.
    pub fn links_in_use(&self) -> Links {
        match self.params.language() {
            Some("multi") => Links::PerTrack,
            _ => self.links,
        }
    }
}

/// As the built-in profile `default`.
impl Default for Listen {
    fn default() -> Self {
        Self {
            params: Params::default_profile(),
            flush: Duration::from_millis(60),
            links: Links::Stereo,
        }
    }
}

/// What the caller gets while the call is transcribed.
#[derive(Clone, Debug)]
pub enum Dial {
    /// Is connected to this number.
    Number(String),
    /// Hears this, then the line is kept open for an hour.
    Say(String),
    /// Keeps the line open for so many seconds.
    PauseSecs(u32),
}

/// What a caller gets when the node takes no more calls.
#[derive(Clone, Debug)]
pub enum Overflow {
    /// Hears this.
    Say(String),
    /// Is connected to this number.
    Number(String),
}

/// Limits. Every one is set.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls at the same time.
    pub max_calls: usize,
    /// From the upgrade to `start`.
    pub start_timeout: Duration,
    /// A stream of which nothing was heard is dead.
    pub idle_timeout: Duration,
    /// Audio kept for replay.
    pub replay_window: Duration,
    /// Speed of replay.
    pub replay_rate: f64,
    /// Sockets at the same time, over all peers.
    pub max_connections: usize,
    /// From accepting a socket to its complete request header.
    pub header_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_calls: 1000,
            start_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            replay_window: Duration::from_secs(60),
            replay_rate: 1.25,
            max_connections: 20_000,
            header_timeout: Duration::from_secs(10),
        }
    }
}
