//! From settings to the gateway's configuration.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use sidetone_deepgram::speak::MOST_AT_ONCE;
use sidetone_gateway::config::{Deepgram, Limits, Tls, Twilio};
use url::{Host, Url};

use super::value::Value;
use super::{Configuration, Inputs, Path, Settings, agent, function, not_yet, profile};

const TRUST_LOOPBACK: &str = "server.trust_loopback";
const AGENT_URL: &str = "deepgram.agent_url";

/// How the log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// The log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Builds the configuration; `None` when a problem stands in `settings` that prevents it.
pub(super) fn configuration(settings: &mut Settings, inputs: &Inputs) -> Option<Configuration> {
    let listen = addresses(settings);
    let public_url = public_url(settings);
    let insecure = inputs.insecure;
    let trust_loopback = settings.get(&Path::parse(TRUST_LOOPBACK), bool);
    let allowed_origins = settings.get_or("server.allowed_origins", empty_list(), origins);
    let trusted_proxies = settings.get_or("server.trusted_proxies", empty_list(), networks);
    let drain = settings.get_or("server.drain_secs", Value::Integer(30), |v| {
        secs(v, 0.0, 3600.0)
    });
    let limits = limits(settings);
    let twilio = twilio(settings);
    let deepgram = deepgram(settings, inputs);
    let log = log(settings);
    let data_dir = data_dir(settings, inputs);
    not_yet::parts(settings);
    let tls = tls(settings, inputs);

    let secret = settings.get(&Path::parse("webhooks.secret"), function::secret);
    let context = agent::Context {
        folder: &inputs.folder,
        twilio: twilio.as_ref(),
        secret: secret.as_ref(),
    };
    let profiles = profile::profiles(settings, context);
    let default_profile = default_profile(settings, inputs, &profiles);
    let numbers = profile::numbers(settings, &profiles);
    let is_used = |name: &String| {
        let is_usual = *name == default_profile || numbers.values().any(|used| used == name);
        is_usual
            || settings
                .set_at(&Path::parse("profiles").join(name))
                .is_some()
    };
    let mut agents = profiles
        .iter()
        .filter(|(_, profile)| profile.agent.is_some());
    let uses_agent =
        settings.set_at(&Path::parse(AGENT_URL)).is_some() || agents.any(|(name, _)| is_used(name));

    let gateway = sidetone_gateway::Config {
        listen: listen?,
        public_url,
        insecure,
        trust_loopback,
        allowed_origins: allowed_origins?,
        tls,
        trusted_proxies: trusted_proxies?,
        twilio: twilio?,
        deepgram: deepgram?,
        profiles,
        default_profile,
        numbers,
        speak_cache: data_dir.as_ref().map(|folder| folder.join("speak-cache")),
        limits: limits?,
        drain: drain?,
    };
    settings.default(
        Path::parse(TRUST_LOOPBACK),
        Value::Bool(gateway.trusts_loopback()),
    );
    Some(Configuration {
        gateway,
        data_dir: data_dir?,
        uses_agent,
        log: log?,
        warnings: Vec::new(),
    })
}

fn default_profile(
    settings: &mut Settings,
    inputs: &Inputs,
    profiles: &std::collections::BTreeMap<String, sidetone_gateway::config::Profile>,
) -> String {
    let usual = match inputs.agent {
        Some(_) => agent::PROFILE,
        None => "default",
    };
    let name = inputs.profile.as_deref().unwrap_or(usual).to_owned();
    if inputs.agent.is_some() && name != usual {
        settings.missing(format!(
            "--agent is the prompt of the profile `{usual}`, which calls then have: leave out \
             --profile {name}, or write the prompt into `{name}` in the configuration file"
        ));
    }
    if !profiles.contains_key(&name) {
        settings.missing(format!(
            "--profile {name}: no such profile; there are: {}",
            profiles
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    name
}

fn addresses(settings: &mut Settings) -> Option<Vec<SocketAddr>> {
    let default = Value::Text("127.0.0.1:5000,[::1]:5000".to_owned());
    settings.get_or("server.listen", default, |value| {
        let expected = "addresses with ports, as in `127.0.0.1:5000,[::1]:5000`";
        let mut addresses = Vec::new();
        for text in value.list()? {
            // A host name is one setting and may be several addresses.
            let found = text.to_socket_addrs().map_err(|_| expected.to_owned())?;
            addresses.extend(found);
        }
        if addresses.is_empty() {
            Err(expected.to_owned())
        } else {
            Ok(addresses)
        }
    })
}

fn public_url(settings: &mut Settings) -> Option<Url> {
    let path = Path::parse("server.public_url");
    let url = settings.get(&path, http_url)?;
    // One of this machine is for simulated phones, which open any stream.
    if let Some(why) = unfit_for_twilio(&url).filter(|_| !is_loopback(&url)) {
        let origin = settings.origin(&path);
        settings.warn(&origin, format!("{path}: {why}"));
    }
    Some(url)
}

/// Why Twilio's calls never come through a public URL.
pub(crate) fn unfit_for_twilio(url: &Url) -> Option<String> {
    if is_loopback(url) {
        Some(format!(
            "{url} is an address of this machine: Twilio cannot reach it"
        ))
    } else if url.scheme() == "http" {
        Some(format!(
            "{url} is not https, and Twilio opens media streams by wss alone"
        ))
    } else {
        None
    }
}

/// Whether nobody but this machine can reach a URL.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn limits(settings: &mut Settings) -> Option<Limits> {
    let default = Limits::default();
    let max_calls = settings.get_or("limits.max_calls", Value::Integer(1000), |v| {
        whole(v, 1, 1_000_000)
    });
    let start_timeout = settings.get_or("limits.start_timeout_secs", Value::Integer(10), |v| {
        secs(v, 0.1, 300.0)
    });
    let idle_timeout = settings.get_or("limits.idle_timeout_secs", Value::Integer(60), |v| {
        secs(v, 1.0, 86_400.0)
    });
    let replay_window = settings.get_or("limits.replay_window_secs", Value::Integer(60), |v| {
        secs(v, 1.0, 600.0)
    });
    let replay_rate = settings.get_or("limits.replay_rate", Value::Float(1.25), |v| {
        number_between(v, 1.0, 100.0)
    });
    Some(Limits {
        max_calls: max_calls?,
        start_timeout: start_timeout?,
        idle_timeout: idle_timeout?,
        replay_window: replay_window?,
        replay_rate: replay_rate?,
        ..default
    })
}

pub(super) fn twilio(settings: &mut Settings) -> Option<Twilio> {
    let account_sid = settings.get(&Path::parse("twilio.account_sid"), |value| {
        value
            .text()?
            .parse()
            .map_err(|_| "AC and 32 hexadecimal digits".to_owned())
    });
    let auth_tokens = settings.get(&Path::parse("twilio.auth_token"), |value| {
        Ok(value.list()?.into_iter().map(SecretString::from).collect())
    });
    let default = Value::Text(Twilio::API_URL.to_owned());
    let api_url = settings.get_or("twilio.api_url", default, http_url);
    let allow_destinations = settings.get(&Path::parse("twilio.allow_destinations"), prefixes);
    Some(Twilio {
        account_sid,
        auth_tokens: auth_tokens.unwrap_or_default(),
        api_url: api_url?,
        allow_destinations,
    })
}

/// E.164: a plus, and up to 15 digits that do not begin with 0.
pub(crate) fn phone_number(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let fits = (3..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a number with its country, as in +15005550006".to_owned())
    }
}

/// Beginnings of numbers in E.164.
fn prefixes(value: &Value) -> Result<Vec<String>, String> {
    let prefixes = value.list()?;
    let is_prefix = |text: &String| {
        let digits = text.strip_prefix('+').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if prefixes.iter().all(is_prefix) {
        Ok(prefixes)
    } else {
        Err("what numbers begin with, as in `+1` or `+4420`".to_owned())
    }
}

fn deepgram(settings: &mut Settings, inputs: &Inputs) -> Option<Deepgram> {
    let api_key = settings.get(&Path::parse("deepgram.api_key"), |value| {
        let key = value.text()?;
        if key.chars().all(|c| c.is_ascii_graphic()) {
            Ok(SecretString::from(key))
        } else {
            Err("a key without spaces or control characters".to_owned())
        }
    });
    let unset = !settings.has(&Path::parse("deepgram.api_key"));
    if unset && !inputs.without_deepgram {
        settings.missing(
            "DEEPGRAM_API_KEY is not set: create a key at https://console.deepgram.com and put \
             `DEEPGRAM_API_KEY=...` into .env, or try `sidetone demo`, which needs none"
                .to_owned(),
        );
    }
    let default = Value::Text("wss://api.deepgram.com".to_owned());
    let url = settings.get_or("deepgram.url", default, |value| {
        web_url(value).map(|url| stream_base(url, "/v1/listen"))
    });
    let default = Value::Text(Deepgram::AGENT_URL.to_owned());
    let agent_url = settings.get_or(AGENT_URL, default, |value| {
        web_url(value).map(|url| stream_base(url, sidetone_deepgram::agent::PATH))
    });
    let max_speak_default = i64::try_from(MOST_AT_ONCE).unwrap_or(i64::MAX);
    let max_speak = settings.get_or(
        "deepgram.max_speak",
        Value::Integer(max_speak_default),
        |value| whole(value, 1, 10_000),
    );
    Some(Deepgram {
        agent_url: agent_url?,
        max_speak: max_speak?,
        ..Deepgram::new(url?, api_key.unwrap_or_default())
    })
}

/// The WebSocket base of a URL that may be written in any of the ways people write it, with or
/// without the path of what it is for.
fn stream_base(mut url: Url, route: &str) -> Url {
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(route).unwrap_or(path).to_owned();
    url.set_path(&base);
    url.set_query(None);
    let scheme = if matches!(url.scheme(), "https" | "wss") {
        "wss"
    } else {
        "ws"
    };
    url.set_scheme(scheme)
        .expect("one special scheme can take another's place");
    url
}

fn log(settings: &mut Settings) -> Option<Log> {
    let filter = settings.get_or("log.filter", Value::Text("info".to_owned()), |value| {
        let filter = value.text()?;
        match tracing_subscriber::EnvFilter::try_new(&filter) {
            Ok(_) => Ok(filter),
            Err(_) => Err("a filter such as `info` or `sidetone_gateway=debug,warn`".to_owned()),
        }
    });
    let format = settings.get_or(
        "log.format",
        Value::Text("text".to_owned()),
        |value| match value.text()?.as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("`text` or `json`".to_owned()),
        },
    );
    Some(Log {
        filter: filter?,
        format: format?,
    })
}

fn data_dir(settings: &mut Settings, inputs: &Inputs) -> Option<PathBuf> {
    let default = Value::Text("./sidetone-data".to_owned());
    settings.get_or("server.data_dir", default, |value| {
        let folder = inputs.folder.join(value.text()?);
        // Without the `.` of a relative path, for people who read it.
        Ok(folder.components().collect())
    })
}

/// The certificate and its key; a problem when only one is there, for serving plain HTTP to someone
/// who asked for TLS would be a trap.
fn tls(settings: &mut Settings, inputs: &Inputs) -> Option<Tls> {
    const CERT: &str = "server.tls_cert";
    const KEY: &str = "server.tls_key";
    let mut pem = |path: &str| {
        settings.get(&Path::parse(path), |value| {
            let file = value.text()?;
            std::fs::read_to_string(inputs.folder.join(&file))
                .map_err(|error| format!("a PEM file that can be read, and {error}"))
        })
    };
    let (certificates, key) = (pem(CERT), pem(KEY));
    for (there, missing) in [(CERT, KEY), (KEY, CERT)] {
        if settings.has(&Path::parse(there)) && !settings.has(&Path::parse(missing)) {
            let origin = settings.origin(&Path::parse(there));
            settings.problem(&origin, format!("{there}: needs {missing} beside it"));
        }
    }
    Some(Tls {
        certificates_pem: certificates?,
        key_pem: key?.into(),
    })
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    Ok(value.text()?)
}

pub(super) fn bool(value: &Value) -> Result<bool, String> {
    Ok(value.bool()?)
}

pub(super) fn number_between(value: &Value, least: f64, most: f64) -> Result<f64, String> {
    let expected = || format!("a number from {least} to {most}");
    let number = value.number().map_err(|_| expected())?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(expected())
    }
}

pub(super) fn whole(value: &Value, least: u32, most: u32) -> Result<usize, String> {
    let number = number_between(value, f64::from(least), f64::from(most))?;
    if number.fract() != 0.0 {
        return Err(format!("a whole number from {least} to {most}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and between two u32"
    )]
    Ok(number as usize)
}

fn secs(value: &Value, least: f64, most: f64) -> Result<Duration, String> {
    let seconds = number_between(value, least, most);
    Ok(Duration::from_secs_f64(
        seconds.map_err(|expected| expected + " (seconds)")?,
    ))
}

fn empty_list() -> Value {
    Value::List(Vec::new())
}

pub(super) fn web_url(value: &Value) -> Result<Url, String> {
    let expected = "a URL that begins with https://, http://, wss:// or ws://, without a user";
    let url: Url = value.text()?.parse().map_err(|_| expected.to_owned())?;
    let known = matches!(url.scheme(), "http" | "https" | "ws" | "wss");
    // It is shown in the log; credentials have their own settings.
    let is_bare = url.username().is_empty() && url.password().is_none();
    if known && url.host().is_some() && is_bare {
        Ok(url)
    } else {
        Err(expected.to_owned())
    }
}

fn http_url(value: &Value) -> Result<Url, String> {
    let url = web_url(value)?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
        return Err(
            "an https:// or http:// URL without a query, as in `https://voice.example.com`"
                .to_owned(),
        );
    }
    Ok(url)
}

fn origins(value: &Value) -> Result<Vec<String>, String> {
    let expected = "origins such as `https://desk.example.com`";
    value
        .list()?
        .into_iter()
        .map(|text| match text.parse::<Url>() {
            Ok(url) if url.has_host() => Ok(url.origin().ascii_serialization()),
            Ok(_) | Err(_) => Err(expected.to_owned()),
        })
        .collect()
}

fn networks(value: &Value) -> Result<Vec<String>, String> {
    let expected = "addresses or ranges such as `10.0.0.0/8`";
    for text in value.list()? {
        let (address, bits) = text.split_once('/').unwrap_or((&text, "0"));
        let address: IpAddr = address.parse().map_err(|_| expected.to_owned())?;
        let bits: u8 = bits.parse().map_err(|_| expected.to_owned())?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            return Err(expected.to_owned());
        }
    }
    Ok(value.list()?)
}
