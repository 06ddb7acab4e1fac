//! `sidetone call`: the phone as a command.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sidetone_audio::wav;
use sidetone_simulator::voice;

use crate::command::{Outcome, sidetone};
use crate::deepgram::emulated;
use crate::emulated::Emulated;
use crate::ordering::order;
use crate::serve::{Serve, serve, soon};
use crate::twilio::TOKEN;
use crate::watching::event;
use crate::web::{ended, get, words};

const DIAL: &str = "[profiles.default.listen]\n[profiles.default.dial]\nnumber = '+15551230002'\n";

/// The objects that `--json` printed.
#[track_caller]
fn objects(outcome: &Outcome) -> Vec<Value> {
    let lines = outcome.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{outcome:?}")))
        .collect()
}

/// The events of the gateway's only call.
async fn only_call(serve: &Serve) -> Vec<Value> {
    let (_, page) = get(serve, "/api/v1/calls").await;
    let calls = page["items"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "{page}");
    ended(serve, calls[0]["call_sid"].as_str().unwrap()).await
}

fn bare(words: &Value) -> Vec<&str> {
    let words = words.as_array().unwrap().iter();
    words.map(|word| word["word"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_webhook_is_called_and_what_the_caller_hears_is_told_and_expected() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(DIAL).start().await;
    let voice = serve.http("/voice");
    let call = |expected| {
        let say = ["call", &voice, "--say", "hello, is anybody there?"];
        let answer = [
            "--callee",
            "Yes, how can I help?",
            "--json",
            "--expect",
            expected,
        ];
        sidetone(say.into_iter().chain(answer)).run()
    };
    let (right, wrong) = tokio::join!(call("yes how can I HELP"), call("yes, how could I help?"));
    assert_eq!(right.code, Some(0), "{right:?}");
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    for line in [
        "expected:   yes how could i help",
        "heard:      yes how can i help",
        "difference: yes how -could +can i help",
    ] {
        assert!(wrong.stderr.contains(line), "{wrong:?}");
        assert!(!right.stderr.contains(line), "{right:?}");
    }
    for (outcome, is_expected) in [(&right, true), (&wrong, false)] {
        let objects = objects(outcome);
        let [call] = &objects[..] else {
            panic!("{outcome:?}")
        };
        assert_eq!(bare(&call["heard"]), ["yes", "how", "can", "i", "help"]);
        assert_eq!(call["heard"][4]["text"], "help?");
        let first = &call["spoken"][0];
        assert_eq!(
            (&first["track"], &first["word"]),
            (&json!("inbound"), &json!("hello"))
        );
        assert_eq!(first["start_ms"], 600);
        assert!(first["end_ms"].as_u64() > Some(800), "{first}");
        assert_eq!(call["spoken"].as_array().unwrap().len(), 9);
        assert_eq!(call["end"], "caller_hung_up");
        assert_eq!(call["expected"], is_expected);
        assert_eq!(call["alerts"], json!([]));
        assert_eq!(call["streams"][0]["tracks"], json!(["inbound", "outbound"]));
        assert!(call["streams"][0]["frames"].as_u64().unwrap() > 100);
        assert!(call["duration_ms"].as_u64().unwrap() > 3_000);

        let events = ended(&serve, call["call_sid"].as_str().unwrap()).await;
        assert_eq!(
            words(&events, "inbound"),
            ["hello", "is", "anybody", "there"]
        );
        assert_eq!(words(&events, "outbound"), bare(&call["heard"]));
        let call = &events.last().unwrap()["data"];
        assert_eq!(call["from"], "+14155550123");
        assert_eq!(call["to"], "+15005550006");
        assert_eq!(call["direction"], "inbound");
    }
}

#[tokio::test]
async fn a_stream_is_called_with_its_parties_parameters_and_tracks() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let stream = serve.ws("/twilio");
    let outcome = sidetone([
        "call",
        &stream,
        "--say",
        "one two three",
        "--callee",
        "four five",
        "--param",
        "tenant=a=b",
        "--param",
        "from=+15550001",
    ])
    .run()
    .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let events = only_call(&serve).await;
    let call = &events.last().unwrap()["data"];
    let said = format!("{} said 5 words", call["call_sid"].as_str().unwrap());
    let heard = format!("{} heard: four five", call["call_sid"].as_str().unwrap());
    assert_eq!(outcome.stdout.lines().collect::<Vec<_>>(), [said, heard]);
    assert_eq!(words(&events, "inbound"), ["one", "two", "three"]);
    assert_eq!(words(&events, "outbound"), ["four", "five"]);
    assert_eq!(call["custom_parameters"]["tenant"], "a=b");
    assert_eq!(call["from"], "+15550001");
    assert_eq!(call["tracks"], json!(["inbound", "outbound"]));
}

#[tokio::test]
async fn many_calls_are_made_at_once_and_summed_up() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let stream = serve.ws("/twilio");
    let calls = ["call", &stream, "--say", "one two three", "--calls", "5"];
    let (told, as_json) = tokio::join!(
        sidetone(calls).run(),
        sidetone(calls.into_iter().chain(["--json", "--seed", "7"])).run()
    );
    for outcome in [&told, &as_json] {
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    let summary = "5 calls: 15 words said, 0 heard, 0 failed";
    assert_eq!(told.stdout.lines().last(), Some(summary), "{told:?}");
    assert!(as_json.stderr.contains(summary), "{as_json:?}");
    let objects = objects(&as_json);
    let sids: BTreeSet<&str> = objects
        .iter()
        .map(|call| call["call_sid"].as_str().unwrap())
        .collect();
    assert_eq!(sids.len(), 5, "{as_json:?}");
    for sid in sids {
        assert_eq!(
            words(&ended(&serve, sid).await, "inbound"),
            ["one", "two", "three"]
        );
    }
}

#[tokio::test]
async fn a_seed_makes_the_same_call_again() {
    let serve = serve().start().await;
    let stream = serve.ws("/twilio");
    let call = |seed: &'static str| {
        let args = ["call", &stream, "--say", "yes", "--json", "--seed", seed];
        sidetone(args).run()
    };
    let (first, again, other) = tokio::join!(call("7"), call("7"), call("8"));
    let sid = |outcome: &Outcome| objects(outcome)[0]["call_sid"].clone();
    assert_eq!(sid(&first), sid(&again));
    assert_ne!(sid(&first), sid(&other));
}

/// A mu-law WAV file with these channels.
fn wav_file(lanes: &[&[u8]]) -> Vec<u8> {
    let samples = lanes.iter().map(|lane| lane.len()).max().unwrap();
    let mut codes = Vec::new();
    for index in 0..samples {
        codes.extend(lanes.iter().map(|lane| lane.get(index).unwrap_or(&0xFF)));
    }
    let channels = u16::try_from(lanes.len()).unwrap();
    let mut file = wav::header(channels, u32::try_from(codes.len()).unwrap()).to_vec();
    file.append(&mut codes);
    file
}

#[tokio::test]
async fn recordings_are_played_left_the_caller_and_right_the_callee() {
    let (caller, callee) = (
        voice::speak("hello my friend"),
        voice::speak("good morning"),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let stereo = file("stereo.wav", &wav_file(&[&caller.ulaw, &callee.ulaw]));
    let mono = file("mono.wav", &wav_file(&[&voice::speak("one two").ulaw]));
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(DIAL).start().await;
    let voice = serve.http("/voice");
    let outcome = sidetone(["call", &voice, "--audio", &stereo, "--audio", &mono])
        .run()
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stdout.contains("heard: good morning"),
        "{outcome:?}"
    );
    let events = only_call(&serve).await;
    assert_eq!(
        words(&events, "inbound"),
        ["hello", "my", "friend", "one", "two"]
    );
    assert_eq!(words(&events, "outbound"), ["good", "morning"]);

    let text = file("text.wav", b"no audio at all");
    for (path, why) in [
        (text.as_str(), "no WAV file"),
        ("gone.wav", "cannot be read"),
    ] {
        let outcome = sidetone(["call", &voice, "--audio", path]).run().await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(1), ""),
            "{outcome:?}"
        );
        assert!(outcome.stderr.contains(path), "{outcome:?}");
        assert!(outcome.stderr.contains(why), "{outcome:?}");
    }
}

#[tokio::test]
async fn keys_are_pressed_on_a_stream_of_the_inbound_track() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let stream = serve.ws("/twilio/agent");
    let outcome = sidetone(["call", &stream, "--dtmf", "4w2#"]).run().await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let events = only_call(&serve).await;
    let digits: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "dtmf")
        .map(|event| &event["data"]["digit"])
        .collect();
    assert_eq!(digits, ["4", "2", "#"]);
}

#[tokio::test]
async fn calls_are_signed_by_what_the_configuration_says_wherever_it_says_it() {
    let serve = serve()
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .env("TWILIO_ACCOUNT_SID", format!("AC{:032x}", 2))
        .start()
        .await;
    let (voice, status) = (serve.ws("/twilio"), serve.http("/twilio/call-status"));
    let call = || sidetone(["call", &voice, "--say", "yes", "--status-callback", &status]);
    let account = format!("AC{:032x}", 2);
    let by_environment = call()
        .env("TWILIO_AUTH_TOKEN", &format!("{TOKEN}, other"))
        .env("TWILIO_ACCOUNT_SID", &account);
    let by_dot_env = call().file(
        ".env",
        &format!("TWILIO_AUTH_TOKEN = '{TOKEN}'\nTWILIO_ACCOUNT_SID={account}\n"),
    );
    // What concerns the gateway alone does not keep the phone from calling.
    let by_toml = call().file(
        "sidetone.toml",
        &format!("[twilio]\nauth_token = '{TOKEN}'\naccount_sid = '{account}'\n[gone]\nx = 1\n"),
    );
    let signed = [by_environment, by_dot_env, by_toml].map(|call| call.run());
    for outcome in futures_util::future::join_all(signed).await {
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(!outcome.stderr.contains("failed"), "{outcome:?}");
    }

    let unsigned = call().run().await;
    assert_eq!(
        (unsigned.code, unsigned.stdout.as_str()),
        (Some(1), ""),
        "{unsigned:?}"
    );
    for told in ["403", "TWILIO_AUTH_TOKEN"] {
        assert!(unsigned.stderr.contains(told), "{unsigned:?}");
    }
    assert!(!unsigned.stderr.contains(TOKEN), "{unsigned:?}");

    let broken = call().env("TWILIO_ACCOUNT_SID", "AC123").run().await;
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.stderr.contains("TWILIO_ACCOUNT_SID"), "{broken:?}");
}

#[tokio::test]
async fn a_call_that_cannot_be_made_says_why_and_what_to_do() {
    for url in ["http://127.0.0.1:9/voice", "ws://127.0.0.1:9/twilio"] {
        let one = ["call", url, "--say", "hello"];
        let two = one.into_iter().chain(["--calls", "2"]);
        for (outcome, stdout) in [
            (sidetone(one).run().await, ""),
            (
                sidetone(two).run().await,
                "2 calls: 0 words said, 0 heard, 2 failed\n",
            ),
        ] {
            assert_eq!(
                (outcome.code, outcome.stdout.as_str()),
                (Some(1), stdout),
                "{outcome:?}"
            );
            assert!(outcome.stderr.starts_with("sidetone: "), "{outcome:?}");
            assert!(outcome.stderr.contains("`sidetone serve`"), "{outcome:?}");
        }
    }
    let serve = serve()
        .env("TWILIO_ACCOUNT_SID", format!("AC{:032x}", 2))
        .start()
        .await;
    let refused = sidetone(["call", &serve.ws("/twilio"), "--say", "hello"])
        .run()
        .await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("1008"), "{refused:?}");
    for url in [serve.http("/voice/nobody"), serve.ws("/twilio/nobody")] {
        let outcome = sidetone(["call", &url]).run().await;
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        for told in ["404", "profile"] {
            assert!(outcome.stderr.contains(told), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn faults_are_listed_suggested_and_made() {
    let listed = sidetone(["call", "--faults"]).run().await;
    assert_eq!(
        (listed.code, listed.stderr.as_str()),
        (Some(0), ""),
        "{listed:?}"
    );
    assert!(
        listed.stdout.contains("silent-gap:ms=,after_ms=  "),
        "{listed:?}"
    );

    let misspelt = sidetone(["call", "ws://127.0.0.1:9/", "--fault", "odd-frame"])
        .run()
        .await;
    assert_eq!(misspelt.code, Some(2), "{misspelt:?}");
    assert!(
        misspelt.stderr.contains("did you mean `odd-frames`?"),
        "{misspelt:?}"
    );

    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let stream = serve.ws("/twilio");
    let fault = ["--fault", "close-without-stop:code=1001"];
    let outcome = sidetone(["call", &stream, "--say", "yes"].into_iter().chain(fault))
        .run()
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("--seed "), "{outcome:?}");
    let events = only_call(&serve).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "disconnected");
}

#[tokio::test]
async fn a_call_that_is_known_to_the_emulated_twilio_is_hung_up_by_the_gateway() {
    let emulated = Emulated::start(&[]).await;
    let serve = emulated.serve().toml(DIAL).start().await;
    let voice = serve.http("/voice");
    let say = "one two three four five six seven eight nine ten ".repeat(10);
    let calling = emulated.command(["call", &voice, "--say", &say, "--json"]);
    let hanging_up = async {
        let calls = async {
            loop {
                let (_, page) = get(&serve, "/api/v1/calls?status=live").await;
                match page["items"][0]["call_sid"].as_str() {
                    Some(call_sid) => return call_sid.to_owned(),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let call_sid = soon("a live call", calls).await;
        event(&serve, &call_sid, "transcript.final").await;
        let path = format!("/calls/{call_sid}/hangup");
        assert_eq!(order(&serve, &path, &json!({})).await, (202, json!({})));
        ended(&serve, &call_sid).await
    };
    let (outcome, events) = tokio::join!(calling.run(), hanging_up);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(objects(&outcome)[0]["end"], "hung_up");
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "hangup");
}
