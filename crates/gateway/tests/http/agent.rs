//! Calls with an agent, seen from all their sides: Twilio's, Deepgram's, a function's and the
//! API's.

mod functions;
mod provider;
mod watching;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::StreamExt;
use serde_json::{Value, json};
use sidetone_call::engine::Builtin;
use sidetone_call::event::{EndReason, EventData};
use sidetone_deepgram::agent::settings::Settings;
use sidetone_gateway::config::{Agent, Config, Fallback, Function, Profile};
use sidetone_gateway::{Gateway, StartError};
use sidetone_twilio::twiml::{Response, Verb};
use tokio_tungstenite::tungstenite::Message;

use self::provider::Provider;
use crate::support::{CALL_SID, Phone, Running, config, events_until_end, within};
use crate::wire::{Answer, metric, request};

const NO_DEEPGRAM: &str = "ws://127.0.0.1:9";

/// A gateway whose profile `agent` talks, by this provider.
fn talking(provider: &Provider, agent: Agent) -> Config {
    let mut config = config(NO_DEEPGRAM);
    config.deepgram.agent_url = provider.url.parse().unwrap();
    let profile = Profile {
        agent: Some(agent),
        bidirectional: true,
        ..Profile::default()
    };
    config.profiles.insert("agent".to_owned(), profile);
    config
}

fn agent(settings: Value) -> Agent {
    Agent::new(Settings::from_agent(settings).unwrap())
}

/// A call of that profile whose stream has started.
async fn call(gateway: &Running) -> Phone {
    let mut phone = Phone::dial(gateway.address, "/twilio/agent").await;
    phone.connected().await;
    let parameters = json!({"from": "+15550001", "to": "+15550002", "name": "Ada"});
    phone.start(&["inbound"], parameters).await;
    phone
}

async fn api(gateway: SocketAddr, method: &str, path: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/calls/{CALL_SID}{path}");
    let json = [("Content-Type", "application/json")];
    request(gateway, method, &path, &json, &body.to_string()).await
}

/// What Twilio is told when it asks what comes after the stream.
async fn next(gateway: SocketAddr) -> Vec<Verb> {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("CallSid={CALL_SID}&CallStatus=in-progress");
    let answer = request(gateway, "POST", "/voice/agent/next", &form, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    Response::parse(&answer.body).unwrap().verbs
}

/// Takes what the phone is sent until a message of this kind.
async fn until(phone: &mut Phone, event: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    loop {
        let message = within(phone.socket.next()).await;
        let Some(Ok(Message::Text(text))) = message else {
            panic!("no {event}: {messages:?}, then {message:?}")
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        let is_last = message["event"] == event;
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

#[tokio::test]
async fn an_agent_gets_its_settings_and_the_callers_audio_and_is_heard() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (mut session, settings) = provider.session().await;
    assert_eq!(session.uri, "/v1/agent/converse");
    assert_eq!(session.authorization, "Token test-key");
    assert_eq!(settings["audio"]["input"]["encoding"], "mulaw");

    for frame in 0..10 {
        phone.media("inbound", 5 + frame * 20, &[0x33; 160]).await;
    }
    session.hear(1600).await;
    assert_eq!(session.heard[..1600], [0x33; 1600]);

    session.turn("Hello there.", 200).await;
    until(&mut phone, "media").await;
    let EventData::AgentReady(ready) = gateway.event(CALL_SID, "agent.ready").await else {
        panic!("another event")
    };
    assert_eq!(ready.request_id.as_deref(), Some("request-1"));
    gateway.event(CALL_SID, "agent.started_speaking").await;
    assert_eq!(
        metric(gateway.address, "sidetone_agent_sessions_total").await,
        1.0
    );

    phone.stop().await;
    assert_eq!(session.close_code().await, Some(1000));
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn audio_is_for_agents_to_send_and_a_fault_of_the_transcription() {
    let provider = Provider::start().await;
    let gateway = Running::start(config(&provider.url)).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    phone.media("inbound", 5, &[0x33; 160]).await;
    let mut session = provider.accept().await;
    assert!(session.uri.starts_with("/v1/listen?"), "{}", session.uri);
    session.speak(0x55, 20).await;
    let lost = gateway.event(CALL_SID, "provider.disconnected").await;
    let EventData::ProviderDisconnected(lost) = lost else {
        panic!("{lost:?}")
    };
    assert_eq!(lost.reason, "Deepgram sent a binary message");
    let again = provider.accept().await;
    assert!(again.uri.starts_with("/v1/listen?"), "{}", again.uri);
}

#[tokio::test]
async fn texts_are_filled_in_with_what_the_call_is() {
    let provider = Provider::start().await;
    let settings = json!({
        "greeting": "Hello {{ name }}, {{ missing }}you called {{ to }}.",
        "think": {"prompt": "{{ from }} talks to {{ profile }}: {{ 1 // 0 }}"},
    });
    let gateway = Running::start(talking(&provider, agent(settings))).await;
    let mut phone = call(&gateway).await;
    let (_session, settings) = provider.session().await;
    assert_eq!(
        settings["agent"]["greeting"],
        "Hello Ada, you called +15550002."
    );
    // What fails is left empty rather than said.
    assert_eq!(settings["agent"]["think"]["prompt"], "");
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_caller_who_speaks_clears_what_is_being_said_and_nothing_of_it_follows() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    session
        .turn("A long story that nobody wants to hear.", 8_000)
        .await;
    until(&mut phone, "media").await;

    session.say(json!({"type": "UserStartedSpeaking"})).await;
    // What is late of the old turn, and then the next one.
    session.speak(0x55, 500).await;
    session
        .say(json!({"type": "ConversationText", "role": "user", "content": "Stop."}))
        .await;
    until(&mut phone, "clear").await;
    session
        .say(json!({"type": "ConversationText", "role": "assistant", "content": "Yes?"}))
        .await;
    session.speak(0x21, 200).await;
    session.say(json!({"type": "AgentAudioDone"})).await;
    let after = until(&mut phone, "media").await;
    let [.., first] = &after[..] else {
        panic!("nothing was said")
    };
    let payload = first["media"]["payload"].as_str().unwrap();
    assert!(
        payload.starts_with("ISEh"),
        "audio of the old turn: {payload}"
    );

    let EventData::AgentInterrupted(cut) = gateway.event(CALL_SID, "agent.interrupted").await
    else {
        panic!("another event")
    };
    assert!(cut.discarded_ms > 0, "{cut:?}");
    assert_eq!(
        metric(gateway.address, "sidetone_agent_clear_seconds_count").await,
        1.0
    );
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_whose_agent_is_refused_goes_to_the_fallback() {
    let provider = Provider::start().await;
    let mut agent = agent(json!({}));
    agent.fallback = Fallback {
        say: None,
        number: Some("+15550009".to_owned()),
    };
    let gateway = Running::start(talking(&provider, agent)).await;
    let mut phone = call(&gateway).await;
    provider.refuse().await;
    assert_eq!(phone.close_code().await, Some(1000));
    let verbs = next(gateway.address).await;
    let [Verb::Say(say), Verb::Dial(dial)] = &verbs[..] else {
        panic!("{verbs:?}")
    };
    assert_eq!(say.text, Fallback::SAY);
    assert_eq!(dial.numbers[0].number, "+15550009");

    let events = events_until_end(&gateway, CALL_SID).await;
    let warning = events.iter().find_map(|event| match event {
        EventData::Warning(warning) if warning.code == "agent_lost" => Some(&warning.detail),
        _ => None,
    });
    assert!(
        warning.unwrap().contains("Invalid credentials."),
        "{events:?}"
    );
    let Some(EventData::CallEnded(ended)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(ended.end_reason, Some(EndReason::Transferred));
    assert_eq!(
        metric(gateway.address, "sidetone_agents_lost_total").await,
        1.0
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_fallback_without_a_number_says_its_sentence_and_hangs_up() {
    let provider = Provider::start().await;
    let mut agent = agent(json!({}));
    agent.fallback.say = Some("Try again tomorrow.".to_owned());
    let gateway = Running::start(talking(&provider, agent)).await;
    let mut phone = call(&gateway).await;
    provider.refuse().await;
    assert_eq!(phone.close_code().await, Some(1000));
    let verbs = next(gateway.address).await;
    let [Verb::Say(say), Verb::Hangup] = &verbs[..] else {
        panic!("{verbs:?}")
    };
    assert_eq!(say.text, "Try again tomorrow.");
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_agent_transfers_by_a_name_to_a_number_that_deepgram_never_sees() {
    let provider = Provider::start().await;
    let mut agent = agent(json!({}));
    let targets = BTreeMap::from([("sales".to_owned(), "+15550003".to_owned())]);
    let transfer = Builtin::Transfer { targets };
    let spec = transfer.spec("transfer", None);
    agent.settings.add_function(spec).unwrap();
    let transfer = Function::Builtin(transfer);
    agent.functions.insert("transfer".to_owned(), transfer);
    let gateway = Running::start(talking(&provider, agent)).await;
    let mut phone = call(&gateway).await;
    let (mut session, settings) = provider.session().await;
    let function = &settings["agent"]["think"]["functions"][0];
    assert_eq!(function["name"], "transfer");
    assert!(!settings.to_string().contains("+15550003"));

    session
        .call("func_1", "transfer", &json!({"target": "sales"}))
        .await;
    session.expect("FunctionCallResponse").await;
    assert_eq!(phone.close_code().await, Some(1000));
    let verbs = next(gateway.address).await;
    let [Verb::Dial(dial)] = &verbs[..] else {
        panic!("{verbs:?}")
    };
    assert_eq!(dial.numbers[0].number, "+15550003");
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_running_agent_is_told_things_and_changed() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    let address = gateway.address;

    let body = json!({"role": "user", "content": "I am at the door."});
    let answer = api(address, "POST", "/agent/inject", &body).await;
    assert_eq!((answer.status, answer.json()), (202, json!({})));
    let injected = session.expect("InjectUserMessage").await;
    assert_eq!(injected["content"], "I am at the door.");

    let body = json!({"role": "agent", "content": "Still there?"});
    assert_eq!(
        api(address, "POST", "/agent/inject", &body).await.status,
        202
    );
    let injected = session.expect("InjectAgentMessage").await;
    assert_eq!(injected["message"], "Still there?");

    let body = json!({"prompt": "You speak in rhymes."});
    let answer = api(address, "PATCH", "/agent", &body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let updated = session.expect("UpdateThink").await;
    assert_eq!(updated["think"]["prompt"], "You speak in rhymes.");

    let speak = json!({"provider": {"type": "deepgram", "model": "aura-2-zeus-en"}});
    let body = json!({"speak": speak});
    assert_eq!(api(address, "PATCH", "/agent", &body).await.status, 200);
    assert_eq!(session.expect("UpdateSpeak").await["speak"], speak);

    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_change_or_no_message_is_refused_in_words() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (_session, _) = provider.session().await;
    gateway.call(CALL_SID).await;
    for (method, path, body, words) in [
        ("PATCH", "/agent", json!({}), "Nothing is to be changed"),
        ("PATCH", "/agent", json!({"listen": {}}), "listen"),
        ("PATCH", "/agent", json!({"prompt": 7}), "string"),
        (
            "PATCH",
            "/agent",
            json!({"think": {"provider": {}}}),
            "think.provider",
        ),
        ("PATCH", "/agent", json!({"speak": "loud"}), "speak"),
        ("POST", "/agent/inject", json!({"role": "agent"}), "content"),
        (
            "POST",
            "/agent/inject",
            json!({"role": "boss", "content": "x"}),
            "role",
        ),
        (
            "POST",
            "/agent/inject",
            json!({"role": "user", "content": " "}),
            "empty",
        ),
        (
            "POST",
            "/speak",
            json!({"text": "x", "model": "aura-2-zeus-en"}),
            "model",
        ),
    ] {
        let answer = api(gateway.address, method, path, &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_request"),
            "{body}"
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{body}: {detail}");
    }
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn only_a_call_with_an_agent_has_one_to_tell_things() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    gateway.call(CALL_SID).await;
    let message = json!({"role": "user", "content": "Hello."});
    let change = json!({"prompt": "You are somebody else."});
    let both = [
        ("POST", "/agent/inject", message),
        ("PATCH", "/agent", change),
    ];
    for (method, path, body) in &both {
        let answer = api(gateway.address, method, path, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (409, "not_possible")
        );
    }
    phone.stop().await;
    gateway.no_live_call().await;
    for (method, path, body) in &both {
        let answer = api(gateway.address, method, path, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "call_ended"));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_an_agent_is_to_say_is_said_by_the_agent() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    let text = "Your taxi is here.";
    let answer = api(gateway.address, "POST", "/speak", &json!({"text": text})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let injected = session.expect("InjectAgentMessage").await;
    assert_eq!(injected["message"], text);
    session.turn(text, 2_000).await;
    gateway.event(CALL_SID, "speak.started").await;
    let answer = api(gateway.address, "DELETE", "/speak", &json!({})).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    until(&mut phone, "clear").await;
    gateway.event(CALL_SID, "speak.interrupted").await;
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn numbers_that_may_not_be_dialled_are_refused_at_the_start() {
    let provider = Provider::start().await;
    let targets = BTreeMap::from([("sales".to_owned(), "+449001".to_owned())]);
    let mut transferring = agent(json!({}));
    let transfer = Function::Builtin(Builtin::Transfer { targets });
    transferring
        .functions
        .insert("transfer".to_owned(), transfer);
    let mut falling_back = agent(json!({}));
    falling_back.fallback.number = Some("+449001".to_owned());
    for (agent, words) in [
        (transferring, "target `sales` of function `transfer`"),
        (falling_back, "the fallback"),
    ] {
        let mut config = talking(&provider, agent);
        config.twilio.allow_destinations = Some(vec!["+1".to_owned()]);
        let refused = Gateway::bind(config.clone()).await.err();
        let Some(StartError::Setting(detail)) = refused else {
            panic!("it started, or says something else: {refused:?}")
        };
        assert!(
            detail.contains(words) && detail.contains("+449001"),
            "{detail}"
        );
        config.twilio.allow_destinations = Some(vec!["+44".to_owned()]);
        assert!(Gateway::bind(config).await.is_ok());
    }
}
