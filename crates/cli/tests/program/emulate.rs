//! `sidetone emulate`: an emulated Deepgram and Twilio for other programs.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sidetone_simulator::emulator::Fault;

use crate::command::sidetone;
use crate::emulated::{Emulated, NUMBER};
use crate::serve::soon;
use crate::watching::event;
use crate::web::{ended, get, words};

/// Asks something: status and body.
async fn ask(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = soon("an answer", request.send()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

fn client() -> Client {
    let _installed_before = rustls::crypto::ring::default_provider()
        .install_default()
        .is_err();
    Client::new()
}

/// Asks `/_emulator/faults`.
async fn faults(emulated: &Emulated, method: Method, body: &Value) -> (u16, Value) {
    let url = format!("{}/_emulator/faults", emulated.value("TWILIO_API_URL"));
    ask(client().request(method, url).json(body)).await
}

#[tokio::test]
async fn the_environment_is_printed_and_nothing_else_and_a_signal_ends_it() {
    let emulate = sidetone(["emulate", "--listen", "127.0.0.1:0", "--seed", "17"]).start();
    let tells = emulate.stderr.wait_for("seed 17").await;
    assert!(tells.contains("Deepgram and Twilio"), "{tells}");
    emulate.stderr.wait_for("/_emulator/faults").await;
    let lines = emulate.stdout.all();
    let pairs: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "DEEPGRAM_URL",
            "DEEPGRAM_AGENT_URL",
            "DEEPGRAM_API_KEY",
            "TWILIO_API_URL",
            "TWILIO_ACCOUNT_SID",
            "TWILIO_AUTH_TOKEN"
        ]
    );
    let port = pairs[0].1.strip_prefix("ws://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    assert_eq!(pairs[1].1, pairs[0].1);
    assert_eq!(pairs[3].1, format!("http://127.0.0.1:{port}"));
    assert_eq!(emulate.terminate().await, Some(0));
}

#[tokio::test]
async fn gateway_and_phone_work_in_its_environment_with_signatures() {
    let emulated = Emulated::start(&[]).await;
    let serve = emulated
        .serve()
        .toml("[profiles.default.listen]\n[profiles.default.dial]\nnumber = '+15551230002'\n")
        .start()
        .await;
    let voice = serve.http("/voice");
    let call = [
        "call",
        &voice,
        "--say",
        "hello, is anybody there?",
        "--callee",
        "yes, I am",
    ];
    let (signed, unsigned) = tokio::join!(emulated.command(call).run(), sidetone(call).run());
    assert_eq!(unsigned.code, Some(1), "{unsigned:?}");
    assert!(unsigned.stderr.contains("403"), "{unsigned:?}");
    assert_eq!(signed.code, Some(0), "{signed:?}");
    let (_, page) = get(&serve, "/api/v1/calls").await;
    let sid = page["items"][0]["call_sid"].as_str().unwrap();
    let events = ended(&serve, sid).await;
    assert_eq!(
        words(&events, "inbound"),
        ["hello", "is", "anybody", "there"]
    );
    assert_eq!(words(&events, "outbound"), ["yes", "i", "am"]);
}

#[tokio::test]
async fn faults_are_set_by_flag_and_while_it_runs() {
    let emulated = Emulated::start(&["--fault", "slow:ms=10", "--fault", "drop", "--seed", "3"]);
    let emulated = emulated.await;
    let (status, listed) = faults(&emulated, Method::GET, &Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(listed["faults"], json!(["slow:ms=10", "drop"]));
    assert_eq!(listed["seed"], 3);
    let known = listed["known"].as_array().unwrap();
    let names: Vec<&str> = known
        .iter()
        .map(|fault| fault["name"].as_str().unwrap())
        .collect();
    let all: Vec<&str> = Fault::LIST.iter().map(|entry| entry.name).collect();
    assert_eq!(names, all);

    let wanted = json!({ "faults": [{ "name": "refuse", "status": 402 }] });
    let set = json!({ "faults": ["refuse:status=402"], "seed": 3 });
    assert_eq!(faults(&emulated, Method::POST, &wanted).await, (200, set));
    let wrong = json!({ "faults": ["refsue"] });
    let (status, problem) = faults(&emulated, Method::POST, &wrong).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("did you mean `refuse`?"), "{detail}");
    let cleared = json!({ "faults": [], "seed": 3 });
    assert_eq!(
        faults(&emulated, Method::DELETE, &Value::Null).await,
        (200, cleared)
    );
}

#[tokio::test]
async fn a_connection_that_is_dropped_at_a_word_of_command_loses_no_word() {
    let emulated = Emulated::start(&[]).await;
    let serve = emulated.serve().start().await;
    let stream = serve.ws("/twilio");
    let said = "one two three four five six seven eight nine ten eleven twelve";
    let calling = emulated.command(["call", &stream, "--say", said]).run();
    let dropping = async {
        let sid = soon("a call", async {
            loop {
                let (_, page) = get(&serve, "/api/v1/calls").await;
                if let Some(sid) = page["items"][0]["call_sid"].as_str() {
                    return sid.to_owned();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        let sid = sid.await;
        event(&serve, &sid, "transcript.final").await;
        let wanted = json!({ "faults": ["drop"], "now": true });
        let (status, _) = faults(&emulated, Method::POST, &wanted).await;
        assert_eq!(status, 200);
        event(&serve, &sid, "provider.disconnected").await;
        sid
    };
    let (outcome, sid) = tokio::join!(calling, dropping);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let events = ended(&serve, &sid).await;
    let said: Vec<&str> = said.split(' ').collect();
    assert_eq!(words(&events, "inbound"), said);
}

#[tokio::test]
async fn only_the_key_that_was_set_is_taken_and_printed() {
    let emulated = Emulated::start(&["--api-key", "only-this"]).await;
    assert_eq!(emulated.value("DEEPGRAM_API_KEY"), "only-this");
    let url = format!("{}/v1/projects", emulated.value("TWILIO_API_URL"));
    for (key, expected) in [("only-this", 200), ("another", 401)] {
        let request = client()
            .get(&url)
            .header("Authorization", format!("Token {key}"));
        assert_eq!(ask(request).await.0, expected, "{key}");
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_identifiers() {
    let mut ids = Vec::new();
    for seed in ["5", "5", "6"] {
        let emulated = Emulated::start(&["--seed", seed]).await;
        let url = format!("{}/v1/projects", emulated.value("TWILIO_API_URL"));
        let response = soon("an answer", client().get(url).send()).await.unwrap();
        ids.push(response.headers()["dg-request-id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[tokio::test]
async fn twilios_account_and_numbers_are_there() {
    let emulated = Emulated::start(&["--number", "+442079460000"]).await;
    let (sid, token) = (
        emulated.value("TWILIO_ACCOUNT_SID"),
        emulated.value("TWILIO_AUTH_TOKEN"),
    );
    let base = format!(
        "{}/2010-04-01/Accounts/{sid}",
        emulated.value("TWILIO_API_URL")
    );
    let get = |path: &str| {
        let request = client().get(format!("{base}{path}"));
        ask(request.basic_auth(sid, Some(token)))
    };
    let (status, account) = get(".json").await;
    assert_eq!((status, &account["status"]), (200, &json!("active")));
    let (_, page) = get("/IncomingPhoneNumbers.json").await;
    let numbers: Vec<&Value> = page["incoming_phone_numbers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|number| &number["phone_number"])
        .collect();
    assert_eq!(numbers, [NUMBER, "+442079460000"]);
    let (status, problem) = ask(client().get(format!("{base}.json"))).await;
    assert_eq!((status, &problem["code"]), (401, &json!(20003)));
}

#[tokio::test]
async fn the_faults_are_listed_and_a_wrong_one_is_refused_before_it_starts() {
    let listed = sidetone(["emulate", "--faults"]).run().await;
    assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""));
    for entry in Fault::LIST {
        assert!(listed.stdout.contains(entry.description), "{}", entry.name);
    }
    assert!(listed.stdout.contains("times=N|all"), "{}", listed.stdout);

    for (args, words) in [
        (["--fault", "dorp"], "did you mean `drop`?"),
        (["--fault", "drop:after=5"], "did you mean `after_ms`?"),
        (["--number", "5550006"], "+15005550006"),
        (["--api-key", "two words"], "without spaces"),
    ] {
        let refused = sidetone(["emulate"].into_iter().chain(args)).run().await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
}
