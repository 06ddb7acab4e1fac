//! The calls of the account: placed, listed, steered.

use axum::extract::{Path, RawForm, RawQuery, State};
use axum::response::Json;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use sidetone_twilio::form::{CallStatus, Form};
use sidetone_twilio::twiml::Method;
use sidetone_twilio::{CallSid, StreamSid};
use tokio::time::Instant;

use super::answer::{Problem, date, page};
use super::parameters::{check, read};
use super::{Admitted, Twilio, parameters, placing};
use crate::phone::{self, CallRecord, Entry, Instructions, Order, Unreachable};

pub(super) async fn create(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path(account): Path<String>,
    RawForm(form): RawForm,
) -> Result<(StatusCode, Json<Value>), Problem> {
    admitted.of_account(&account, &twilio)?;
    let form = read(&form)?;
    let wanted = placing::Wanted::read(&form, |number| twilio.has_number(number))?;
    if twilio.0.exchange.is_full() {
        return Err(Problem::too_many_requests());
    }
    let (call_sid, seed, release_at) = twilio.next_call(Instant::now());
    tracing::info!(%call_sid, "Call placed.");
    let (options, outbound) = wanted.call(&twilio, call_sid, seed, release_at);
    let (entry, call) = phone::place(options, outbound);
    let call = async move {
        let report = call.await;
        let end = report.end.name();
        tracing::info!(call_sid = %report.call_sid, end, "Call ended.");
    };
    let cancelled = twilio.0.cancelled.clone();
    let tasks = &twilio.0.tasks;
    tasks.spawn(cancelled.run_until_cancelled_owned(call));
    Ok((StatusCode::CREATED, twilio.call(&entry)))
}

pub(super) async fn list(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    admitted.of_account(&account, &twilio)?;
    let asked = read(query.unwrap_or_default().as_bytes())?;
    let fits = |name, value: &str| asked.value(name).is_none_or(|asked| asked == value);
    let is_wanted = |call: &CallRecord| {
        let parent = call.parent_call_sid.as_ref().map_or("", CallSid::as_str);
        fits("To", &call.to)
            && fits("From", &call.from)
            && fits("Status", call.status.name())
            && fits("ParentCallSid", parent)
    };
    let newest_first = twilio.0.exchange.entries().into_iter().rev();
    let calls = newest_first.filter_map(|entry| {
        let wanted = |call: &CallRecord| is_wanted(call).then(|| to_json(call, &twilio));
        entry.look(wanted)
    });
    let calls = calls.collect();
    Ok(Json(page("calls", &admitted.path, &asked, calls)))
}

pub(super) async fn fetch(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path((account, call)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let entry = find(&twilio, &admitted, &account, call.strip_suffix(".json"))?;
    Ok(twilio.call(&entry))
}

pub(super) async fn update(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path((account, call)): Path<(String, String)>,
    RawForm(form): RawForm,
) -> Result<Json<Value>, Problem> {
    let entry = find(&twilio, &admitted, &account, call.strip_suffix(".json"))?;
    let form = read(&form)?;
    check(parameters::OF_UPDATE, &form)?;
    let status = entry.look(|call| call.status.clone());
    let is_live = status == CallStatus::InProgress;
    let order = match (form.value("Status"), instructions(&form)) {
        (Some("canceled"), _) if is_live => return Err(not_in_progress()),
        (Some(_), _) => Order::HangUp,
        (None, Some(_)) if !is_live => return Err(not_in_progress()),
        (None, Some(instructions)) => Order::Redirect(instructions),
        (None, None) => return Ok(twilio.call(&entry)),
    };
    entry.order(order)?;
    Ok(twilio.call(&entry))
}

pub(super) async fn start_stream(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path((account, call)): Path<(String, String)>,
    RawForm(form): RawForm,
) -> Result<Json<Value>, Problem> {
    let entry = find(&twilio, &admitted, &account, Some(&call))?;
    let form = read(&form)?;
    check(parameters::OF_STREAM, &form)?;
    if entry.look(|call| call.status != CallStatus::InProgress) {
        return Err(not_in_progress());
    }
    let stream_sid = twilio.dice().sid::<StreamSid>("MZ");
    let stream = placing::stream(&form)?;
    let name = stream.name.clone();
    entry.order(Order::StartStream {
        stream_sid: stream_sid.clone(),
        stream,
    })?;
    Ok(stream_json(
        &twilio,
        &call,
        &stream_sid,
        name.as_deref(),
        "in-progress",
    ))
}

pub(super) async fn stop_stream(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path((account, call, stream)): Path<(String, String, String)>,
    RawForm(form): RawForm,
) -> Result<Json<Value>, Problem> {
    let entry = find(&twilio, &admitted, &account, Some(&call))?;
    check(parameters::OF_STREAM_UPDATE, &read(&form)?)?;
    let wanted = stream.strip_suffix(".json").unwrap_or_default();
    let open = entry.look(|call| {
        let mut open = call.open_streams.iter();
        let is_wanted = |name: Option<&str>| name.is_some_and(|name| name == wanted);
        open.find(|open| {
            is_wanted(Some(open.stream_sid.as_str())) || is_wanted(open.name.as_deref())
        })
        .cloned()
    });
    let open = open.ok_or_else(|| Problem::not_found(&admitted.path))?;
    entry.order(Order::StopStream(open.stream_sid.clone()))?;
    Ok(stream_json(
        &twilio,
        &call,
        &open.stream_sid,
        open.name.as_deref(),
        "stopped",
    ))
}

/// The call at this path.
fn find(
    twilio: &Twilio,
    admitted: &Admitted,
    account: &str,
    call_sid: Option<&str>,
) -> Result<Entry, Problem> {
    admitted.of_account(account, twilio)?;
    let found = call_sid.and_then(|sid| twilio.0.exchange.find(sid));
    found.ok_or_else(|| Problem::not_found(&admitted.path))
}

/// What a call is to do. Of both, Twilio takes the URL.
pub(super) fn instructions(form: &Form) -> Option<Instructions> {
    let url = form.value("Url").and_then(|url| url.parse().ok());
    let method = method(form.value("Method"));
    let fetched = url.map(|url| Instructions::Fetch { url, method });
    fetched.or_else(|| Some(Instructions::Twiml(form.value("Twiml")?.to_owned())))
}

/// The method that was asked for, after it was checked.
pub(super) fn method(name: Option<&str>) -> Method {
    match name {
        Some(name) if name.eq_ignore_ascii_case("GET") => Method::Get,
        _ => Method::Post,
    }
}

fn not_in_progress() -> Problem {
    Problem::bad_parameter(
        21_220,
        "Call is not in-progress. Cannot redirect.".to_owned(),
    )
}

impl From<Unreachable> for Problem {
    fn from(_: Unreachable) -> Self {
        not_in_progress()
    }
}

impl Twilio {
    fn call(&self, entry: &Entry) -> Json<Value> {
        Json(entry.look(|call| to_json(call, self)))
    }
}

fn to_json(call: &CallRecord, twilio: &Twilio) -> Value {
    let account_sid = call.account_sid.as_str();
    let uri = format!("/2010-04-01/Accounts/{account_sid}/Calls/{}", call.call_sid);
    let below = |name| format!("{uri}/{name}.json");
    let when = |at: Option<Timestamp>| at.map(date);
    let is_over = call.status.is_final();
    json!({
        "sid": call.call_sid.as_str(),
        "account_sid": account_sid,
        "parent_call_sid": call.parent_call_sid.as_ref().map(|sid| sid.as_str()),
        "direction": call.direction.name(),
        "to": call.to,
        "to_formatted": formatted(&call.to),
        "from": call.from,
        "from_formatted": formatted(&call.from),
        "phone_number_sid": twilio.number_sid(&call.from).or_else(|| twilio.number_sid(&call.to)),
        "status": call.status.name(),
        "start_time": when(call.answered_at),
        "end_time": when(call.ended_at),
        "duration": is_over.then(|| call.answered_secs().to_string()),
        "queue_time": call.queued_ms.to_string(),
        "answered_by": call.answered_by,
        "date_created": date(call.created_at),
        "date_updated": date(call.updated_at),
        "price": null,
        "price_unit": "USD",
        "api_version": "2010-04-01",
        "forwarded_from": null,
        "group_sid": null,
        "caller_name": null,
        "trunk_sid": null,
        "annotation": null,
        "uri": format!("{uri}.json"),
        "subresource_uris": {
            "notifications": below("Notifications"),
            "recordings": below("Recordings"),
            "payments": below("Payments"),
            "events": below("Events"),
            "siprec": below("Siprec"),
            "streams": below("Streams"),
            "transcriptions": below("Transcriptions"),
            "user_defined_message_subscriptions": below("UserDefinedMessageSubscriptions"),
            "user_defined_messages": below("UserDefinedMessages"),
        },
    })
}

/// A number of North America as people there write it; any other as it is.
fn formatted(number: &str) -> String {
    match number.strip_prefix("+1") {
        Some(digits) if digits.len() == 10 && digits.is_ascii() => {
            format!("({}) {}-{}", &digits[..3], &digits[3..6], &digits[6..])
        }
        _ => number.to_owned(),
    }
}

fn stream_json(
    twilio: &Twilio,
    call_sid: &str,
    stream_sid: &StreamSid,
    name: Option<&str>,
    status: &str,
) -> Json<Value> {
    let account_sid = twilio.sid();
    Json(json!({
        "sid": stream_sid.as_str(),
        "account_sid": account_sid,
        "call_sid": call_sid,
        "name": name,
        "status": status,
        "date_updated": date(Timestamp::now()),
        "uri": format!(
            "/2010-04-01/Accounts/{account_sid}/Calls/{call_sid}/Streams/{stream_sid}.json"
        ),
    }))
}

#[cfg(test)]
mod tests;
