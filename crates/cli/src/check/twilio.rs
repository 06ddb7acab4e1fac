//! Twilio's account, and where the calls of its numbers go.

use std::collections::BTreeSet;

use sidetone_gateway::config::Config;
use sidetone_gateway::twilio_rest::{TwilioError, TwilioRest};
use sidetone_twilio::rest::{AccountStatus, PhoneNumber};
use url::Url;

use super::in_time;
use super::report::Finding;
use crate::number::{listed, remedy, route};

pub(super) const ACCOUNT: &str = "twilio_account";
pub(super) const NUMBERS: &str = "number";

/// The account, then each of `numbers`; without any, those of `[numbers]`.
pub(super) async fn check(config: &Config, numbers: &[String]) -> Vec<Finding> {
    let twilio = match TwilioRest::new(&config.twilio) {
        Ok(twilio) => twilio,
        Err(missing @ TwilioError::Missing(_)) => {
            return stopped_at(Finding::skipped(ACCOUNT, missing));
        }
        Err(error) => return stopped_at(refused(&error)),
    };
    let account = match in_time(twilio.account()).await {
        Some(Ok(account)) => account,
        Some(Err(error)) => return stopped_at(refused(&error)),
        None => return stopped_at(refused(&TwilioError::TimedOut)),
    };
    if account.status != AccountStatus::Active {
        let what = format!("{} is {}", account.sid, account.status.name());
        let remedy = "https://console.twilio.com says why";
        return stopped_at(Finding::failed(ACCOUNT, what, remedy));
    }
    let trial = if account.is_trial() {
        ", on trial: callers hear a notice first, and only verified numbers can be called"
    } else {
        ""
    };
    let mut findings = vec![Finding::ok(
        ACCOUNT,
        format!("{} is active{trial}", account.sid),
    )];
    let Some(public_url) = &config.public_url else {
        let reason = "where it should lead is not known without SIDETONE_PUBLIC_URL";
        findings.push(Finding::skipped(NUMBERS, reason));
        return findings;
    };
    match in_time(twilio.phone_numbers()).await {
        Some(Ok(owned)) => findings.extend(look(config, public_url, numbers, &owned)),
        Some(Err(error)) => findings.push(Finding::failed(NUMBERS, error, TRY_AGAIN)),
        None => findings.push(Finding::failed(NUMBERS, TwilioError::TimedOut, TRY_AGAIN)),
    }
    findings
}

const TRY_AGAIN: &str = "look at https://status.twilio.com and try again";

fn refused(error: &TwilioError) -> Finding {
    Finding::failed(ACCOUNT, error, remedy(error).unwrap_or(TRY_AGAIN))
}

fn stopped_at(account: Finding) -> Vec<Finding> {
    let numbers = Finding::skipped(NUMBERS, "the account comes first");
    vec![account, numbers]
}

/// Each number that was named; without any, whether one of the account's leads here.
fn look(
    config: &Config,
    public_url: &Url,
    named: &[String],
    owned: &[PhoneNumber],
) -> Vec<Finding> {
    let here = Here { config, public_url };
    let wanted: BTreeSet<&String> = if named.is_empty() {
        config.numbers.keys().collect()
    } else {
        named.iter().collect()
    };
    if wanted.is_empty() {
        return vec![here.any_of(owned)];
    }
    wanted
        .into_iter()
        .map(|wanted| here.this(wanted, owned))
        .collect()
}

/// Where calls should lead.
struct Here<'a> {
    config: &'a Config,
    public_url: &'a Url,
}

impl Here<'_> {
    /// One of the numbers has to lead here, or no call ever comes.
    fn any_of(&self, owned: &[PhoneNumber]) -> Finding {
        let leads_here = |number: &&PhoneNumber| self.verdict(number).is_ok();
        let here: Vec<&str> = owned
            .iter()
            .filter(leads_here)
            .map(|number| number.phone_number.as_str())
            .collect();
        match (here.as_slice(), owned) {
            ([], []) => Finding::skipped(NUMBERS, "the account has none"),
            ([], [only]) => self.this(&only.phone_number, owned),
            ([], _) => Finding::failed(
                NUMBERS,
                format!("none of the account's leads here; {}", listed(owned)),
                "`sidetone number +1...` points one here",
            ),
            (here, _) => {
                let verb = if here.len() == 1 { "leads" } else { "lead" };
                Finding::ok(NUMBERS, format!("{} {verb} here", here.join(", ")))
            }
        }
    }

    fn this(&self, wanted: &str, owned: &[PhoneNumber]) -> Finding {
        let Some(number) = owned.iter().find(|number| number.phone_number == wanted) else {
            return Finding::failed(
                NUMBERS,
                format!("{wanted} is not of this account; {}", listed(owned)),
                "look at [numbers] and TWILIO_ACCOUNT_SID",
            );
        };
        match self.verdict(number) {
            Ok(way) => Finding::ok(NUMBERS, format!("{wanted} leads {way}")),
            Err(what) => {
                let remedy = format!("`sidetone number {wanted}` points it here");
                Finding::failed(NUMBERS, format!("{wanted}: {what}"), remedy)
            }
        }
    }

    /// The way of a number that leads here, or what is wrong with it.
    fn verdict(&self, number: &PhoneNumber) -> Result<String, String> {
        if let Some(trunk) = &number.trunk_sid {
            return Err(format!("the SIP trunk {trunk} takes its calls"));
        }
        if let Some(application) = &number.voice_application_sid {
            let what = format!("the TwiML application {application} takes its calls");
            return Err(what);
        }
        let voice_url = number.voice_url.as_deref();
        let voice_url = voice_url.ok_or("it has no voice URL")?;
        let route = route(self.public_url, None);
        let profile = voice_url.strip_prefix(&route.voice_url);
        let profile = match profile.map(|rest| rest.strip_prefix('/').ok_or(rest)) {
            None => return Err(format!("its voice URL is {voice_url}")),
            Some(Err("")) => None,
            Some(Ok(name)) if self.config.profiles.contains_key(name) => Some(name),
            Some(Ok(other) | Err(other)) => {
                let what = format!("its voice URL names `{other}`, which is no profile");
                return Err(what);
            }
        };
        let configured = self.config.numbers.get(&number.phone_number);
        if let (Some(named), Some(configured)) = (profile, configured)
            && named != configured
        {
            return Err(format!(
                "its voice URL names the profile {named}, and [numbers] says {configured}"
            ));
        }
        match number.status_callback.as_deref() {
            None => Err("it has no status callback".to_owned()),
            Some(url) if url != route.status_callback => {
                Err(format!("its status callback is {url}"))
            }
            Some(_) if number.status_callback_method.as_deref() == Some("GET") => {
                Err("its status callback is asked for by GET, not POST".to_owned())
            }
            Some(_) => {
                let profile = profile.or(configured.map(String::as_str));
                let profile = profile.unwrap_or(&self.config.default_profile);
                Ok(format!("here (profile {profile})"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
