//! What the gateway is told. Built by the command line; nothing here reads files or environment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use sidetone_call::engine::Speech;
use sidetone_deepgram::listen::params::Params;
use sidetone_deepgram::speak;
use sidetone_twilio::AccountSid;
use url::Url;

pub use crate::standard_webhooks::WebhookSecret;
pub use agent::{Agent, Fallback, Function, Webhook};
pub use sidetone_call::engine::Links;

mod agent;
pub mod template;

/// The gateway's configuration. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// How Twilio and browsers reach it; when set, only it counts.
    pub public_url: Option<Url>,
    /// Start in public without Twilio's auth token.
    pub insecure: bool,
    /// `None`: see [`Config::trusts_loopback`].
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
    /// The folder where the audio of greetings is kept; `None`: nowhere.
    pub speak_cache: Option<PathBuf>,
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
            speak_cache: None,
            limits: Limits::default(),
            drain: Duration::from_secs(30),
        }
    }

    /// Whether requests from this machine need no credentials: as it is set, else unless a public
    /// URL or a non-loopback address is configured.
    pub fn trusts_loopback(&self) -> bool {
        let is_private = self.public_url.is_none() && self.public_address().is_none();
        self.trust_loopback.unwrap_or(is_private)
    }

    /// The greetings of the profiles that calls get unless they ask for another, and how they are
    /// spoken.
    pub(crate) fn greetings(&self) -> Vec<(speak::params::Params, String)> {
        let by_number = self.numbers.values();
        let usual: BTreeSet<&String> = by_number.chain([&self.default_profile]).collect();
        let profiles = usual.into_iter().filter_map(|name| self.profiles.get(name));
        let speaks = profiles.filter_map(|profile| profile.speak.as_ref());
        speaks
            .filter_map(|speak| Some((speak.params.clone(), speak.greeting.clone()?)))
            .collect()
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
    /// What the numbers begin with that may be dialled by transfers and outbound calls; `None`:
    /// any number.
    pub allow_destinations: Option<Vec<String>>,
}

impl Twilio {
    /// Where Twilio's own REST API is.
    pub const API_URL: &str = "https://api.twilio.com";

    /// Whether this number, E.164, may be dialled.
    pub fn may_dial(&self, number: &str) -> bool {
        let allowed = self.allow_destinations.as_ref();
        allowed.is_none_or(|prefixes| prefixes.iter().any(|prefix| number.starts_with(prefix)))
    }
}

/// No account, and Twilio's own REST API.
impl Default for Twilio {
    fn default() -> Self {
        Self {
            account_sid: None,
            auth_tokens: Vec::new(),
            api_url: Url::parse(Self::API_URL).expect("a URL is written there"),
            allow_destinations: None,
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
    /// Base URL of the voice agent with scheme ws or wss and without `/v1/agent/converse`.
    pub agent_url: Url,
    /// Requests for speech at the same time: what the project's plan allows.
    pub max_speak: usize,
}

impl Deepgram {
    /// Where Deepgram's own voice agent is.
    pub const AGENT_URL: &str = "wss://agent.deepgram.com";

    /// Deepgram at this base URL, its own voice agent, and the limits of an ordinary plan.
    pub fn new(url: Url, api_key: SecretString) -> Self {
        Self {
            api_key,
            url,
            agent_url: Url::parse(Self::AGENT_URL).expect("a URL is written there"),
            max_speak: speak::MOST_AT_ONCE,
        }
    }
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
    /// Say something.
    pub speak: Option<Speak>,
    /// Talk with the caller. Not together with `speak`.
    pub agent: Option<Agent>,
    /// Whether the profile answers with a bidirectional stream (`agent` or `speak`).
    pub bidirectional: bool,
}

/// What a profile says, and how.
#[derive(Clone, Debug, Default)]
pub struct Speak {
    /// Deepgram's parameters, checked.
    pub params: speak::params::Params,
    /// Said when the stream starts.
    pub greeting: Option<String>,
    /// What comes after the greeting.
    pub then: Then,
}

/// What comes after a greeting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// The line stays open.
    #[default]
    Stay,
    /// The call is hung up.
    HangUp,
}

impl Speak {
    /// The greeting as it is said. Its id in events is `greeting`.
    pub(crate) fn greeting(&self) -> Option<Speech> {
        Some(Speech {
            id: "greeting".to_owned(),
            text: self.greeting.clone()?,
            model: None,
            interrupt: false,
            keep: true,
            then_hang_up: self.then == Then::HangUp,
        })
    }
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
