//! Deepgram's key: whether Deepgram takes it.

use http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use sidetone_deepgram::error::words;
use sidetone_gateway::config::Deepgram;
use sidetone_gateway::outbound::{self, cause};
use url::Url;

use super::in_time;
use super::report::Finding;

pub(super) const NAME: &str = "deepgram_key";

/// How much of an answer is read for Deepgram's reasons.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Both check a key. The first is documented, but needs a scope that a key may not have (403) and
/// is not there in every region (404); the second takes any key.
const PATHS: [&str; 2] = ["/v1/projects", "/v1/auth/token"];

pub(super) async fn check(deepgram: &Deepgram) -> Finding {
    if deepgram.api_key.expose_secret().is_empty() {
        return Finding::skipped(NAME, "there is none to try");
    }
    let url = web_base(&deepgram.url);
    for path in PATHS {
        match in_time(ask(deepgram, &url, path)).await {
            None => return unreachable(&url, "it did not answer within 5 s"),
            Some(Err(reason)) => return unreachable(&url, &reason),
            Some(Ok((StatusCode::NOT_FOUND, _))) => {}
            Some(Ok((status, words))) => return judge(&url, status, &words),
        }
    }
    Finding::skipped(NAME, format!("{url} has nothing that checks a key"))
}

fn judge(url: &str, status: StatusCode, words: &str) -> Finding {
    match status {
        StatusCode::UNAUTHORIZED => Finding::failed(
            NAME,
            format!("Deepgram does not know it ({words})"),
            "create one at https://console.deepgram.com and set DEEPGRAM_API_KEY",
        ),
        StatusCode::PAYMENT_REQUIRED => Finding::failed(
            NAME,
            format!("its project has no credit ({words})"),
            "add some at https://console.deepgram.com",
        ),
        // Known, but without the right to read about its project.
        StatusCode::FORBIDDEN => Finding::ok(NAME, format!("taken by {url}")),
        ok if ok.is_success() => Finding::ok(NAME, format!("taken by {url}")),
        other => Finding::failed(
            NAME,
            format!("{url} answered {other} ({words})"),
            "look at https://status.deepgram.com and at DEEPGRAM_URL",
        ),
    }
}

fn unreachable(url: &str, reason: &str) -> Finding {
    Finding::failed(
        NAME,
        format!("Deepgram cannot be reached at {url}: {reason}"),
        "look at DEEPGRAM_URL, and whether this machine may connect there",
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
