//! TLS on both sides: served with a certificate of our own, and spoken to Deepgram.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sidetone_simulator::voice;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::Connector;

use crate::deepgram::emulated;
use crate::serve::{Builder, serve, soon};
use crate::twilio::{Socket, Stream, call_sid};
use crate::web::{ended, words};

/// A certificate for this machine that nobody else has signed.
struct Identity(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Identity {
    fn new() -> Self {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        Self(rcgen::generate_simple_self_signed(names).unwrap())
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }

    fn serving(&self) -> Builder {
        serve()
            .file("cert.pem", &self.0.cert.pem())
            .file("key.pem", &self.0.signing_key.serialize_pem())
            .env("SIDETONE_TLS_CERT", "cert.pem")
            .env("SIDETONE_TLS_KEY", "key.pem")
    }

    /// An HTTP client that believes this certificate and no other.
    fn client(&self) -> reqwest::Client {
        let certificate = reqwest::Certificate::from_der(&self.certificate()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([certificate])
            .build()
            .unwrap()
    }

    async fn websocket(&self, url: &str) -> Socket {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate()).unwrap();
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = Some(Connector::Rustls(Arc::new(config)));
        let connecting =
            tokio_tungstenite::connect_async_tls_with_config(url, None, true, connector);
        Socket(soon("the handshake", connecting).await.unwrap().0)
    }
}

async fn rejected_for_tls(client: &reqwest::Client, base: &str) -> bool {
    let answer = client.get(format!("{base}/metrics")).send().await.unwrap();
    let text = answer.text().await.unwrap();
    text.contains(r#"sidetone_rejected_total{reason="tls"} 1"#)
}

#[tokio::test]
async fn a_gateway_with_a_certificate_serves_https_and_wss_and_nothing_plain() {
    let identity = Identity::new();
    let emulator = emulated().await;
    let serve = identity.serving().deepgram(emulator.url()).start().await;
    let client = identity.client();
    let base = format!("https://{}", serve.address);

    let plain = reqwest::get(serve.http("/healthz")).await;
    assert!(plain.is_err(), "{plain:?}");
    let health = client.get(format!("{base}/healthz")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    assert!(rejected_for_tls(&client, &base).await);

    let fields = [
        ("CallSid", call_sid(1)),
        ("From", "+14155550123".to_owned()),
    ];
    let answer = client.post(format!("{base}/voice")).form(&fields);
    let twiml = answer.send().await.unwrap().text().await.unwrap();
    let stream = format!(r#"<Stream url="wss://{}/twilio" "#, serve.address);
    assert!(twiml.contains(&stream), "{twiml}");

    let socket = identity
        .websocket(&format!("wss://{}/twilio", serve.address))
        .await;
    let mut stream = Stream::on(socket, 2).await;
    stream.say_start(2, &["inbound"], "{}").await;
    let speech = voice::speak("good morning");
    stream.play("inbound", 57, &speech.ulaw).await;
    stream.stop(2).await;
    let closing = format!("Call {} ended (stop)", call_sid(2));
    serve.stderr.wait_for(&closing).await;
    let said = serve.stdout.all().join("\n").to_lowercase();
    assert!(
        said.contains("good") && said.contains("morning"),
        "the words are heard: {said}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_with_is_refused_with_its_name() {
    let identity = Identity::new();
    let other = Identity::new();
    let cases = [
        (
            identity.serving().file("cert.pem", "no certificate"),
            "server.tls_cert",
        ),
        (
            identity.serving().file("key.pem", "no key"),
            "server.tls_key",
        ),
        (
            identity
                .serving()
                .file("key.pem", &other.0.signing_key.serialize_pem()),
            "server.tls_key",
        ),
        (
            identity.serving().env("SIDETONE_TLS_KEY", ""),
            "server.tls_key",
        ),
        (
            identity.serving().env("SIDETONE_TLS_CERT", "missing.pem"),
            "server.tls_cert",
        ),
    ];
    for (serve, named) in cases {
        let (code, _, stderr) = serve.run().await;
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(named), "{named}: {stderr}");
        assert!(!stderr.contains("PRIVATE KEY-----\n"), "{stderr}");
    }
}

/// Speaks TLS for an address that does not; gives where.
async fn behind_tls(identity: &Identity, address: String) -> u16 {
    let key = PrivateKeyDer::try_from(identity.0.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the test's runtime, as what it passes on does.
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, address) = (acceptor.clone(), address.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(socket).await else {
                    return;
                };
                let mut inside = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn deepgram_is_reached_over_tls_when_its_certificate_is_trusted() {
    let identity = Identity::new();
    let emulator = emulated().await;
    let port = behind_tls(&identity, emulator.url().authority().to_owned()).await;
    let serve = serve()
        .deepgram(format!("wss://localhost:{port}"))
        .file("roots.pem", &identity.0.cert.pem())
        // The system's roots, for whom that is told.
        .env("SSL_CERT_FILE", "roots.pem")
        .start()
        .await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let speech = voice::speak("good morning");
    stream.play("inbound", 57, &speech.ulaw).await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["good", "morning"]);
}
