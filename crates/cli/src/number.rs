//! `sidetone number`.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;
use sidetone_gateway::config::Config;
use sidetone_gateway::twilio_rest::{TwilioError, TwilioRest};
use sidetone_twilio::rest::{PhoneNumber, VoiceRoute};
use url::Url;

use crate::args::Number;
use crate::config::{self, ConfigError, Inputs, unfit_for_twilio};

/// Of the account's numbers at most so many are listed for someone who looks for one.
const MAX_LISTED: usize = 20;

/// Points a number here, and prints what was and what is.
pub(crate) async fn run(args: Number) -> anyhow::Result<ExitCode> {
    let inputs = Inputs {
        without_deepgram: true,
        ..args.layers.inputs()?
    };
    let config = config::load(&inputs)?.gateway;
    let public_url = needed(&config, args.profile.as_deref())?;
    let route = route(public_url, args.profile.as_deref());
    let twilio = TwilioRest::new(&config.twilio)?;
    let found = twilio.phone_number(&args.number).await;
    let Some(before) = found.map_err(with_remedy)? else {
        let others = twilio.phone_numbers().await.map_err(with_remedy)?;
        let account = config.twilio.account_sid.as_ref();
        anyhow::bail!(
            "{} is no number of the account{}; {}",
            args.number,
            account.map_or_else(String::new, |sid| format!(" {sid}")),
            listed(&others)
        );
    };
    let after = twilio
        .route_calls(&before, &route)
        .await
        .map_err(with_remedy)
        .with_context(|| format!("{} goes on as before", args.number))?;
    if args.json {
        anstream::println!("{}", json!({ "before": before, "after": after }));
    } else {
        anstream::println!(
            "{}\nwas  {}\nnow  {}",
            args.number,
            Way(&before),
            Way(&after)
        );
    }
    if let Some(why) = unfit_for_twilio(public_url) {
        anstream::eprintln!("{why}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do when Twilio does not do what it is asked, where that is known.
pub(crate) fn remedy(error: &TwilioError) -> Option<&'static str> {
    match error {
        TwilioError::Unreachable { .. } => {
            Some("look at TWILIO_API_URL, and whether this machine may connect there")
        }
        // Twilio says why.
        TwilioError::Unreadable { .. } | TwilioError::Refused { error: None, .. } => {
            Some("look at TWILIO_API_URL: what answers there may not be Twilio")
        }
        refused if refused.is_unauthorized() || refused.is_not_found() => Some(
            "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are to be those of one account, as \
             https://console.twilio.com shows them",
        ),
        _ => None,
    }
}

fn with_remedy(error: TwilioError) -> anyhow::Error {
    match remedy(&error) {
        Some(remedy) => anyhow::anyhow!("{error} -> {remedy}"),
        None => error.into(),
    }
}

/// Where the calls of a number go that is to come here; the profile is by `[numbers]` when none is
/// named.
pub(crate) fn route(public_url: &Url, profile: Option<&str>) -> VoiceRoute {
    let base = public_url.as_str().trim_end_matches('/');
    let profile = profile.map_or_else(String::new, |name| format!("/{name}"));
    VoiceRoute {
        voice_url: format!("{base}/voice{profile}"),
        status_callback: format!("{base}/twilio/call-status"),
    }
}

/// The public URL; or all that is missing at once.
fn needed<'a>(config: &'a Config, profile: Option<&str>) -> Result<&'a Url, ConfigError> {
    let mut missing = Vec::new();
    if config.twilio.account_sid.is_none() {
        missing.push("TWILIO_ACCOUNT_SID is not set: https://console.twilio.com shows it");
    }
    if config.twilio.auth_tokens.is_empty() {
        missing.push("TWILIO_AUTH_TOKEN is not set: https://console.twilio.com shows it");
    }
    if config.public_url.is_none() {
        missing.push(
            "SIDETONE_PUBLIC_URL is not set: it is how Twilio reaches this gateway, as in \
             https://voice.example.com",
        );
    }
    let mut missing: Vec<String> = missing.into_iter().map(str::to_owned).collect();
    if let Some(name) = profile.filter(|name| !config.profiles.contains_key(*name)) {
        let names: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
        let names = names.join(", ");
        missing.push(format!(
            "--profile {name}: no such profile; there are: {names}"
        ));
    }
    match &config.public_url {
        Some(url) if missing.is_empty() => Ok(url),
        Some(_) | None => Err(ConfigError::missing(missing)),
    }
}

/// The account's numbers, in a sentence.
pub(crate) fn listed(numbers: &[PhoneNumber]) -> String {
    if numbers.is_empty() {
        return "it has none".to_owned();
    }
    let names: Vec<&str> = numbers
        .iter()
        .take(MAX_LISTED)
        .map(|number| number.phone_number.as_str())
        .collect();
    let more = match numbers.len().saturating_sub(MAX_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it has {}{more}", names.join(", "))
}

/// The way of a number's calls, in a line.
struct Way<'a>(&'a PhoneNumber);

impl std::fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.0;
        let webhook = |url: &Option<String>, method: &Option<String>| match url {
            Some(url) => format!("{} {url}", method.as_deref().unwrap_or("POST")),
            None => "none".to_owned(),
        };
        if let Some(trunk) = &number.trunk_sid {
            write!(f, "SIP trunk {trunk}, which takes the calls; ")?;
        } else if let Some(application) = &number.voice_application_sid {
            write!(
                f,
                "TwiML application {application}, which takes the calls; "
            )?;
        }
        write!(
            f,
            "voice URL {}, status callback {}",
            webhook(&number.voice_url, &number.voice_method),
            webhook(&number.status_callback, &number.status_callback_method)
        )
    }
}
