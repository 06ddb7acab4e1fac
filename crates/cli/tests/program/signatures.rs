//! Twilio's signatures: what is refused before anything else happens, and what is accepted.

use sidetone_simulator::phone::{self, Options, Party, Turn};
use sidetone_twilio::signature;
use tokio_tungstenite::tungstenite::Error;

use crate::deepgram::{Recorder, emulated};
use crate::requests::{call_status, stream_status, to, voice};
use crate::serve::{Builder, Serve, serve, soon};
use crate::twilio::{Socket, Stream, TOKEN, call_sid};
use crate::watching::rejected_for;
use crate::web::{ended, get, words};

const PUBLIC: &str = "https://voice.example.com";

/// One that is public, so that only signatures count; its own machine may still look.
fn public() -> Builder {
    serve()
        .env("SIDETONE_PUBLIC_URL", PUBLIC)
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .arg("--set")
        .arg("server.trust_loopback=true")
}

fn public_url(path: &str) -> String {
    format!("{PUBLIC}{path}")
}

/// The status of the handshake of `path`, signed for `url`.
async fn handshake(serve: &Serve, path: &str, token: &str, url: &str) -> u16 {
    let signature = signature::sign(token, url, &[("", ""); 0]);
    handshake_with(serve, path, &[("x-twilio-signature", &signature)]).await
}

async fn handshake_with(serve: &Serve, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match Socket::connect(&serve.ws(path), headers).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn without_a_signature_nothing_else_is_told() {
    let serve = public().start().await;
    for answer in [
        voice(&serve, "/voice", 1).post().await,
        voice(&serve, "/voice", 1).get().await,
        voice(&serve, "/voice/nobody", 1).post().await,
        voice(&serve, "/voice/default/next", 1).post().await,
        voice(&serve, "/voice", 1)
            .header("x-twilio-signature", "nonsense")
            .post()
            .await,
        to(&serve, "/voice", &[("a", &"x".repeat(70_000))])
            .post()
            .await,
        to(&serve, "/voice", &[]).post().await,
        call_status(&serve, 1, "completed").post().await,
        stream_status(&serve, 1, 1, "stream-stopped").post().await,
    ] {
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (403, "forbidden")
        );
        assert!(!answer.body.contains("nobody"), "{answer:?}");
    }
    for path in ["/twilio", "/twilio/default", "/twilio/nobody", "/media"] {
        assert_eq!(handshake_with(&serve, path, &[]).await, 403, "{path}");
    }
    assert_eq!(rejected_for(&serve, "signature").await, 13.0);
    // None of them holds a place or is a call.
    assert_eq!(
        get(&serve, "/api/v1/calls").await.1["items"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn what_is_signed_for_the_public_url_is_accepted() {
    let serve = public().start().await;
    let post = async |path, url: &str| {
        voice(&serve, path, 1)
            .signed(TOKEN, url)
            .post()
            .await
            .status
    };
    assert_eq!(post("/voice", &public_url("/voice")).await, 200);
    assert_eq!(
        post("/voice", "https://voice.example.com:443/voice").await,
        200
    );
    assert_eq!(post("/voice/agent", &public_url("/voice/agent")).await, 200);
    assert_eq!(
        post("/voice?tenant=a%20b", &public_url("/voice?tenant=a%20b")).await,
        200
    );
    assert_eq!(
        post("/voice/agent/next", &public_url("/voice/agent/next")).await,
        200
    );
    assert_eq!(post("/voice", &public_url("/voice/")).await, 403);
    assert_eq!(
        post("/voice", "https://voice.example.com:8443/voice").await,
        403
    );
    assert_eq!(post("/voice", "http://voice.example.com/voice").await, 403);
    assert_eq!(post("/voice", &serve.http("/voice")).await, 403);
    // Signed all right, and wrong for another reason.
    assert_eq!(
        post("/voice/nobody", &public_url("/voice/nobody")).await,
        404
    );

    let get = voice(&serve, "/voice", 1);
    let signed_url = public_url(&get.target());
    let signature = signature::sign(TOKEN, &signed_url, &[("", ""); 0]);
    assert_eq!(
        get.header("x-twilio-signature", signature)
            .get()
            .await
            .status,
        200
    );

    let url = public_url("/twilio/call-status");
    let status = call_status(&serve, 1, "completed")
        .signed(TOKEN, &url)
        .post()
        .await;
    assert_eq!(status.status, 204, "{status:?}");
    let url = public_url("/twilio/stream-status");
    let status = stream_status(&serve, 1, 1, "stream-started")
        .signed(TOKEN, &url)
        .post()
        .await;
    assert_eq!(status.status, 204, "{status:?}");
}

#[tokio::test]
async fn a_body_of_json_is_signed_by_its_hash() {
    let serve = public().start().await;
    let body = r#"{"CallSid":"CA00000000000000000000000000000001"}"#;
    let signed_url = signature::url_with_body_hash(&public_url("/voice"), body.as_bytes());
    let signature = signature::sign(TOKEN, &signed_url, &[("", ""); 0]);
    let target = signed_url.strip_prefix(PUBLIC).unwrap();
    let post = async |body: &'static str| {
        let posting = reqwest::Client::new()
            .post(serve.http(target))
            .header("content-type", "application/json")
            .header("x-twilio-signature", &signature)
            .body(body)
            .send();
        soon("an answer", posting).await.unwrap().status().as_u16()
    };
    // Believed, and then not what a voice webhook is.
    assert_eq!(post(body).await, 400);
    assert_eq!(
        post(r#"{"CallSid":"CA00000000000000000000000000000002"}"#).await,
        403
    );
}

#[tokio::test]
async fn the_path_of_the_public_url_is_signed_in_front_of_ours() {
    let serve = public()
        .env("SIDETONE_PUBLIC_URL", format!("{PUBLIC}/calls/"))
        .start()
        .await;
    let post = async |url: &str| {
        voice(&serve, "/voice", 1)
            .signed(TOKEN, url)
            .post()
            .await
            .status
    };
    assert_eq!(post(&public_url("/calls/voice")).await, 200);
    assert_eq!(post(&public_url("/voice")).await, 403);
    let url = "wss://voice.example.com/calls/twilio";
    assert_eq!(handshake(&serve, "/twilio", TOKEN, url).await, 101);
}

#[tokio::test]
async fn a_changed_field_or_another_token_breaks_a_signature() {
    let serve = public().start().await;
    let url = public_url("/voice");
    let changed = voice(&serve, "/voice", 1)
        .signed(TOKEN, &url)
        .field("To", "+15005550001");
    assert_eq!(changed.post().await.status, 403);
    let added = voice(&serve, "/voice", 1)
        .signed(TOKEN, &url)
        .field("Digits", "1");
    assert_eq!(added.post().await.status, 403);
    let other = voice(&serve, "/voice", 1).signed("another token", &url);
    assert_eq!(other.post().await.status, 403);
}

#[tokio::test]
async fn a_handshake_may_be_signed_with_or_without_slash_and_default_port() {
    let serve = public().start().await;
    for (path, url, expected) in [
        ("/twilio", "wss://voice.example.com/twilio", 101),
        ("/twilio", "wss://voice.example.com/twilio/", 101),
        ("/twilio", "wss://voice.example.com:443/twilio", 101),
        ("/twilio", "wss://voice.example.com:443/twilio/", 101),
        ("/twilio/", "wss://voice.example.com/twilio/", 101),
        ("/twilio/", "wss://voice.example.com/twilio", 101),
        (
            "/twilio/default",
            "wss://voice.example.com/twilio/default",
            101,
        ),
        (
            "/twilio/default",
            "wss://voice.example.com/twilio/default/",
            101,
        ),
        ("/media", "wss://voice.example.com/media", 101),
        ("/twilio", "https://voice.example.com/twilio", 403),
        ("/twilio", "ws://voice.example.com/twilio", 403),
        ("/twilio", "wss://voice.example.com:8443/twilio", 403),
        ("/twilio", "wss://voice.example.com/media", 403),
        (
            "/twilio/nobody",
            "wss://voice.example.com/twilio/nobody",
            404,
        ),
    ] {
        assert_eq!(
            handshake(&serve, path, TOKEN, url).await,
            expected,
            "{path} signed for {url}"
        );
    }
    assert_eq!(
        handshake(
            &serve,
            "/twilio",
            "another",
            "wss://voice.example.com/twilio"
        )
        .await,
        403
    );
}

#[tokio::test]
async fn while_tokens_are_rotated_both_are_accepted() {
    let serve = public()
        .env("TWILIO_AUTH_TOKEN", format!("the new token, {TOKEN}"))
        .start()
        .await;
    for (token, expected) in [("the new token", 200), (TOKEN, 200), ("an old token", 403)] {
        let answer = voice(&serve, "/voice", 1)
            .signed(token, &public_url("/voice"))
            .post()
            .await;
        assert_eq!(answer.status, expected, "{token}");
    }
    let url = "wss://voice.example.com/twilio";
    for (token, expected) in [("the new token", 101), (TOKEN, 101), ("an old token", 403)] {
        assert_eq!(
            handshake(&serve, "/twilio", token, url).await,
            expected,
            "{token}"
        );
    }
}

#[tokio::test]
async fn without_a_public_url_the_host_is_what_is_signed() {
    let serve = serve().env("TWILIO_AUTH_TOKEN", TOKEN).start().await;
    let url = serve.http("/voice");
    assert_eq!(
        voice(&serve, "/voice", 1)
            .signed(TOKEN, &url)
            .post()
            .await
            .status,
        200
    );
    let url = "http://voice.example.com/voice";
    let hosted = voice(&serve, "/voice", 2)
        .signed(TOKEN, url)
        .header("host", "voice.example.com");
    assert_eq!(hosted.post().await.status, 200);
    assert_eq!(
        handshake(&serve, "/twilio", TOKEN, &serve.ws("/twilio")).await,
        101
    );
}

#[tokio::test]
async fn the_log_says_which_url_was_assumed_and_what_to_set() {
    let serve = serve().env("TWILIO_AUTH_TOKEN", TOKEN).start().await;
    let tunnel = "https://a1b2.tunnel.example/voice";
    let tunnelled = |url| {
        voice(&serve, "/voice", 1)
            .signed(TOKEN, url)
            .header("host", "a1b2.tunnel.example")
    };
    assert_eq!(tunnelled(tunnel).post().await.status, 403);
    let line = serve.stderr.wait_for("X-Twilio-Signature").await;
    for told in [
        "http://a1b2.tunnel.example/voice",
        tunnel,
        "SIDETONE_PUBLIC_URL=https://a1b2.tunnel.example",
    ] {
        assert!(line.contains(told), "{told} is not told: {line}");
    }
    assert!(!serve.stderr.all().join("\n").contains(TOKEN));

    assert_eq!(
        tunnelled("https://c3d4.tunnel.example/voice")
            .post()
            .await
            .status,
        403
    );
    let line = serve.stderr.wait_for("with any known auth token").await;
    assert!(line.contains("http://a1b2.tunnel.example/voice"), "{line}");
    assert!(
        line.contains("TWILIO_AUTH_TOKEN") && line.contains("SIDETONE_PUBLIC_URL"),
        "{line}"
    );
}

#[tokio::test]
async fn a_phone_that_signs_is_served_from_webhook_to_last_word() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .start()
        .await;
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.auth_token = Some(TOKEN.into());
    options.call_sid = Some(call_sid(1).parse().unwrap());
    options.status_callback = Some(serve.http("/twilio/call-status").parse().unwrap());
    options.linger = std::time::Duration::ZERO;
    options.turns = vec![Turn::say(Party::Caller, "good morning")];
    let report = soon("the phone call", phone::call(options)).await.unwrap();
    assert_eq!(report.alerts, []);
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["good", "morning"]);
}

#[tokio::test]
async fn a_callback_is_believed_only_with_a_signature_once_there_is_a_token() {
    let recorder = Recorder::start().await;
    let serve = serve()
        .deepgram(&recorder.url)
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .start()
        .await;
    let mut stream = Stream::signed(&serve.ws("/twilio"), 1).await;
    stream.say_start(1, &["inbound"], "{}").await;
    stream.play("inbound", 57, &[7; 480]).await;
    crate::watching::event(&serve, &call_sid(1), "call.started").await;
    assert_eq!(call_status(&serve, 1, "completed").post().await.status, 403);
    // Signed it ends the call although media came a moment ago.
    let url = serve.http("/twilio/call-status");
    let status = call_status(&serve, 1, "completed")
        .signed(TOKEN, &url)
        .post()
        .await;
    assert_eq!(status.status, 204);
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "hangup");
}

#[tokio::test]
async fn in_public_without_a_token_it_does_not_start_unless_told_to() {
    let by_url = || serve().env("SIDETONE_PUBLIC_URL", PUBLIC);
    let by_address = || serve().env("SIDETONE_LISTEN", "0.0.0.0:0");
    for refused in [by_url(), by_address()] {
        let (code, stdout, stderr) = refused.run().await;
        assert_eq!(code, Some(2), "{stderr}");
        assert!(
            stderr.contains("TWILIO_AUTH_TOKEN") && stderr.contains("--insecure"),
            "{stderr}"
        );
        assert_eq!(stdout, "");
    }
    for started in [
        by_url().arg("--insecure"),
        by_address().arg("--insecure"),
        by_url().env("TWILIO_AUTH_TOKEN", TOKEN),
    ] {
        let serve = started.start().await;
        assert_eq!(get(&serve, "/healthz").await.0, 200);
    }
}
