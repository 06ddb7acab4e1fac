use super::*;
use crate::config::Deepgram;

fn config(listen: &str) -> Config {
    let deepgram = Deepgram::new("ws://127.0.0.1:9".parse().unwrap(), "secret-key".into());
    Config {
        drain: Duration::ZERO,
        ..Config::new(vec![listen.parse().unwrap()], deepgram)
    }
}

#[tokio::test]
async fn a_public_gateway_without_an_auth_token_is_refused_unless_told_otherwise() {
    let refused = Gateway::bind(config("0.0.0.0:0")).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        said.contains("0.0.0.0:0") && said.contains("TWILIO_AUTH_TOKEN"),
        "{said}"
    );

    let mut by_url = config("127.0.0.1:0");
    by_url.public_url = Some("https://voice.example.com".parse().unwrap());
    let said = Gateway::bind(by_url.clone()).await.unwrap_err().to_string();
    assert!(said.contains("https://voice.example.com"), "{said}");

    by_url.insecure = true;
    Gateway::bind(by_url.clone()).await.unwrap();
    by_url.insecure = false;
    by_url.twilio.auth_tokens = vec!["token".into()];
    Gateway::bind(by_url).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_said_with_who_may_hold_it() {
    let first = Gateway::bind(config("127.0.0.1:0")).await.unwrap();
    let address = first.addresses()[0];
    let said = Gateway::bind(config(&address.to_string()))
        .await
        .unwrap_err()
        .to_string();
    assert!(said.contains(&address.to_string()), "{said}");
    assert!(said.contains("another sidetone"), "{said}");
}

#[tokio::test]
async fn no_secret_is_in_the_debug_text_of_a_gateway() {
    let mut config = config("127.0.0.1:0");
    config.twilio.auth_tokens = vec!["secret-token".into()];
    let debug = format!("{:?}", Gateway::bind(config).await.unwrap());
    assert!(!debug.contains("secret-"), "{debug}");
}

#[tokio::test]
async fn a_gateway_without_calls_drains_at_once() {
    let gateway = Gateway::bind(config("127.0.0.1:0")).await.unwrap();
    let shutdown = Shutdown::default();
    shutdown.drain.cancel();
    timeout(Duration::from_secs(10), gateway.run(shutdown))
        .await
        .unwrap();
}
