//! Deepgram: whether it takes our key, and whether its voice agent would come to a call.

use http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use sidetone_deepgram::error::words;
use sidetone_gateway::calls::{NoAgent, visit_agent};
use sidetone_gateway::config::Deepgram;
use sidetone_gateway::outbound::{self, cause};
use url::Url;

use super::report::Finding;
use super::{PATIENCE, in_time};

pub(super) const KEY: &str = "deepgram_key";
pub(super) const AGENT: &str = "deepgram_agent";

/// How much of an answer is read for Deepgram's reasons.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Both check a key. The first is documented, but needs a scope that a key may not have (403) and
/// is not there in every region (404); the second takes any key.
const PATHS: [&str; 2] = ["/v1/projects", "/v1/auth/token"];

pub(super) async fn check_key(deepgram: &Deepgram) -> Finding {
    if !has_key(deepgram) {
        return Finding::skipped(KEY, NO_KEY);
    }
    let url = web_base(&deepgram.url);
    let unreachable = |reason: &str| unreachable(KEY, "DEEPGRAM_URL", &url, reason);
    for path in PATHS {
        match in_time(ask(deepgram, &url, path)).await {
            None => return unreachable("it did not answer within 5 s"),
            Some(Err(reason)) => return unreachable(&reason),
            Some(Ok((StatusCode::NOT_FOUND, _))) => {}
            Some(Ok((status, words))) => return judge(&url, status, &words),
        }
    }
    Finding::skipped(KEY, format!("{url} has nothing that checks a key"))
}

/// A session of the voice agent, up to its `Welcome`: nothing is said in it, and nothing charged.
pub(super) async fn check_agent(deepgram: &Deepgram, is_used: bool) -> Finding {
    if !is_used {
        return Finding::skipped(AGENT, "no profile that is set up has an agent");
    }
    if !has_key(deepgram) {
        return Finding::skipped(AGENT, NO_KEY);
    }
    let url = web_base(&deepgram.agent_url);
    let variable = "DEEPGRAM_AGENT_URL";
    match visit_agent(deepgram, PATIENCE).await {
        Ok(()) => Finding::ok(AGENT, format!("{url} welcomes a call")),
        Err(NoAgent::Refused { status: 403, words }) => Finding::failed(
            AGENT,
            format!("the key may not use it ({words})"),
            "create one that may at https://console.deepgram.com and set DEEPGRAM_API_KEY",
        ),
        Err(NoAgent::Refused { status, words }) => {
            let status = StatusCode::from_u16(status).expect("an answer had it");
            refused(AGENT, variable, &url, status, &words)
        }
        Err(NoAgent::Unreachable(reason)) => unreachable(AGENT, variable, &url, &reason),
        Err(other) => Finding::failed(
            AGENT,
            format!("{url} is no voice agent: {other}"),
            format!("look at {variable} and at https://status.deepgram.com"),
        ),
    }
}

const NO_KEY: &str = "there is no key to try";

fn has_key(deepgram: &Deepgram) -> bool {
    !deepgram.api_key.expose_secret().is_empty()
}

fn judge(url: &str, status: StatusCode, words: &str) -> Finding {
    match status {
        // Known, but without the right to read about its project.
        StatusCode::FORBIDDEN => Finding::ok(KEY, format!("taken by {url}")),
        ok if ok.is_success() => Finding::ok(KEY, format!("taken by {url}")),
        other => refused(KEY, "DEEPGRAM_URL", url, other, words),
    }
}

fn refused(
    name: &'static str,
    variable: &str,
    url: &str,
    status: StatusCode,
    words: &str,
) -> Finding {
    match status {
        StatusCode::UNAUTHORIZED => Finding::failed(
            name,
            format!("Deepgram does not know the key ({words})"),
            "create one at https://console.deepgram.com and set DEEPGRAM_API_KEY",
        ),
        StatusCode::PAYMENT_REQUIRED => Finding::failed(
            name,
            format!("the key's project has no credit ({words})"),
            "add some at https://console.deepgram.com",
        ),
        other => Finding::failed(
            name,
            format!("{url} answered {other} ({words})"),
            format!("look at https://status.deepgram.com and at {variable}"),
        ),
    }
}

fn unreachable(name: &'static str, variable: &str, url: &str, reason: &str) -> Finding {
    Finding::failed(
        name,
        format!("Deepgram cannot be reached at {url}: {reason}"),
        format!("look at {variable}, and whether this machine may connect there"),
    )
}

/// Status and words of an answer, or why there is none.
async fn ask(deepgram: &Deepgram, base: &str, path: &str) -> Result<(StatusCode, String), String> {
    let client = outbound::client(&deepgram.url).build();
    let client = client.map_err(|error| cause(&error))?;
    let mut authorization =
        HeaderValue::try_from(format!("Token {}", deepgram.api_key.expose_secret()))
            .map_err(|_| "the key holds characters that no key has".to_owned())?;
    authorization.set_sensitive(true);
    let asking = client
        .get(format!("{base}{path}"))
        .header(header::AUTHORIZATION, authorization);
    let mut response = asking.send().await.map_err(|error| cause(&error))?;
    let dg_error = response.headers().get("dg-error");
    let dg_error = dg_error
        .and_then(|words| words.to_str().ok())
        .map(str::to_owned);
    // The status says enough when the body does not come.
    let body = outbound::body(&mut response, MAX_ANSWER_BYTES)
        .await
        .unwrap_or_default();
    Ok((response.status(), words(dg_error.as_deref(), &body)))
}

/// Deepgram's base for requests, without a slash at its end.
fn web_base(url: &Url) -> String {
    let text = url.as_str().trim_end_matches('/');
    text.strip_prefix("ws")
        .map_or_else(|| text.to_owned(), |rest| format!("http{rest}"))
}
