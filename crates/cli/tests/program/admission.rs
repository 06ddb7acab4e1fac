//! Which streams may start: the profile they name, the account and the call they belong to, and
//! the places there are.

use crate::deepgram::Recorder;
use crate::requests::{FROM, TO, voice};
use crate::serve::serve;
use crate::twilio::{Socket, Stream, call_sid, stream_sid};
use crate::watching::{call_until, rejected_for};
use crate::web::{ended, get};

#[tokio::test]
async fn the_profile_of_a_stream_is_its_paths_else_its_parameters_else_its_numbers() {
    let toml = "[profiles.desk.listen]\n[profiles.shop.listen]\n[profiles.night.listen]\n\
                [numbers]\n\"+15005550006\" = \"shop\"\n";
    let serve = serve()
        .toml(toml)
        .arg("--profile")
        .arg("night")
        .start()
        .await;
    let of_shop = r#"{"to":"+15005550006","tenant":"t-42"}"#;
    let of_desk = r#"{"to":"+15005550006","profile":"desk"}"#;
    for (call, (path, parameters, expected)) in (1..).zip([
        ("/twilio/desk", of_shop, "desk"),
        ("/twilio/shop", of_desk, "shop"),
        ("/twilio", of_desk, "desk"),
        ("/twilio", of_shop, "shop"),
        ("/twilio", "{}", "night"),
        ("/media", of_desk, "default"),
    ]) {
        let mut stream = Stream::connected(&serve.ws(path), call).await;
        stream.say_start(call, &["inbound"], parameters).await;
        let found = call_until(&serve, &call_sid(call), |_| true).await;
        assert_eq!(found["profile"], expected, "{path} {parameters}");
        if parameters == of_shop {
            assert_eq!(found["to"], "+15005550006");
            assert_eq!(found["custom_parameters"]["tenant"], "t-42");
        }
    }
    let mut stream = Stream::connected(&serve.ws("/twilio"), 9).await;
    stream
        .say_start(9, &["inbound"], r#"{"profile":"nobody"}"#)
        .await;
    let (code, reason) = stream.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1008);
    assert!(reason.contains("nobody"), "{reason}");
    let line = serve.stderr.wait_for("nobody").await;
    assert!(line.contains("desk") && line.contains("night"), "{line}");
}

#[tokio::test]
async fn a_stream_of_another_account_is_refused_when_ours_is_known() {
    let ours = "AC000000000000000000000000000000ff";
    let serve = serve().env("TWILIO_ACCOUNT_SID", ours).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let (code, reason) = stream.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1008);
    assert!(reason.contains("accountSid"), "{reason}");
    assert_eq!(
        get(&serve, &format!("/api/v1/calls/{}", call_sid(1)))
            .await
            .0,
        404
    );
    assert_eq!(rejected_for(&serve, "foreign_account").await, 1.0);
}

#[tokio::test]
async fn a_call_that_was_answered_here_must_show_its_proof() {
    let serve = serve().start().await;
    let ws = serve.ws("/twilio");
    let auth = voice(&serve, "/voice", 1)
        .post()
        .await
        .parameter("auth")
        .unwrap()
        .to_owned();
    let other = voice(&serve, "/voice", 2)
        .post()
        .await
        .parameter("auth")
        .unwrap()
        .to_owned();
    for wrong in [
        "{}".to_owned(),
        format!(r#"{{"auth":"{other}"}}"#),
        r#"{"auth":"x"}"#.to_owned(),
    ] {
        let mut stream = Stream::connected(&ws, 1).await;
        stream.say_start(1, &["inbound"], &wrong).await;
        assert_eq!(
            stream.socket.closed().await.expect("a Close comes").0,
            1008,
            "{wrong}"
        );
    }
    assert_eq!(rejected_for(&serve, "stream_auth").await, 3.0);
    let right = format!(r#"{{"auth":"{auth}","tenant":"t-42"}}"#);
    let mut stream = Stream::connected(&ws, 1).await;
    stream.say_start(1, &["inbound"], &right).await;
    let call = call_until(&serve, &call_sid(1), |_| true).await;
    assert_eq!(
        call["custom_parameters"],
        serde_json::json!({"tenant": "t-42"})
    );
    // What the webhook said of the call is known, whatever the stream says.
    assert_eq!(call["from"], FROM);
    assert_eq!(call["to"], TO);

    // A further stream of the call has to show it as well.
    let mut further = Stream::connected(&ws, 3).await;
    further.say_start(1, &["inbound"], "{}").await;
    assert_eq!(
        further.socket.closed().await.expect("a Close comes").0,
        1008
    );
    let mut further = Stream::connected(&ws, 4).await;
    further.say_start(1, &["inbound"], &right).await;
    call_until(&serve, &call_sid(1), |call| {
        call["stream_sid"] == stream_sid(4)
    })
    .await;
}

#[tokio::test]
async fn beyond_the_most_calls_a_stream_is_told_to_try_again_later() {
    let recorder = Recorder::start().await;
    let serve = serve()
        .toml("[limits]\nmax_calls = 1\n")
        .deepgram(&recorder.url)
        .start()
        .await;
    let ws = serve.ws("/twilio");
    let live = Stream::start(&ws, 1, 1, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    let mut second = Stream::start(&ws, 2, 2, &["inbound"]).await;
    assert_eq!(second.socket.closed().await.expect("a Close comes").0, 1013);
    assert_eq!(
        get(&serve, &format!("/api/v1/calls/{}", call_sid(2)))
            .await
            .0,
        404
    );
    // A further stream of the live call needs no place.
    let further = Stream::start(&ws, 1, 3, &["outbound"]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["stream_sid"] == stream_sid(3)
    })
    .await;
    live.stop(1).await;
    further.stop(1).await;
    ended(&serve, &call_sid(1)).await;
    let _next = Stream::start(&ws, 4, 4, &["inbound"]).await;
    call_until(&serve, &call_sid(4), |call| call["status"] == "live").await;
}

#[tokio::test]
async fn a_handshake_that_is_none_is_told_so() {
    let serve = serve().start().await;
    let (status, problem) = get(&serve, "/twilio").await;
    assert_eq!(status, 426, "{problem}");
    assert_eq!(get(&serve, "/media").await.0, 426);
    let socket = Socket::connect(&serve.ws("/twilio/default"), &[]).await;
    assert!(socket.is_ok());
}
