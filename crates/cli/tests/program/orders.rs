//! A program that answers the functions of agents: it finds orders.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;

/// What signs the requests to it.
pub(crate) const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1vcmRlcnM=";

/// A server that is asked for orders. It stops when it is dropped.
pub(crate) struct Orders {
    pub(crate) url: String,
    asked: Arc<Mutex<Asked>>,
    serving: tokio::task::JoinHandle<()>,
}

/// What it answers, and what it was asked.
struct Asked {
    answers: Vec<(u16, &'static str)>,
    questions: Vec<Question>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Question {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Whether its signature is that of the Standard Webhooks scheme, made with the secret.
    pub(crate) fn is_signed(&self) -> bool {
        let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.unwrap());
        let (id, sent) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [format!("{id}.{sent}.").as_bytes(), &self.body].concat();
        let signature = self
            .header("webhook-signature")
            .strip_prefix("v1,")
            .unwrap();
        hmac::verify(&key, &signed, &STANDARD.decode(signature).unwrap()).is_ok()
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Orders {
    /// Answers with these in turn, and the last one from then on.
    pub(crate) async fn start(answers: &[(u16, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/orders", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Asked {
            answers: answers.to_vec(),
            questions: Vec::new(),
        }));
        let router = axum::Router::new()
            .route("/orders", axum::routing::post(answer))
            .with_state(Arc::clone(&asked));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            asked,
            serving,
        }
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        self.asked.lock().unwrap().questions.clone()
    }

    /// The `[[functions]]` entry that asks it.
    pub(crate) fn function(&self, profile: &str) -> String {
        format!(
            "[[profiles.{profile}.functions]]\nname = 'lookup_order'\n\
             description = 'Finds an order by its number'\n\
             parameters = {{ type = 'object', properties = {{ id = {{ type = 'string' }} }}, \
             required = ['id'] }}\nwebhook = '{}'\nsecret = '{SECRET}'\n",
            self.url
        )
    }
}

async fn answer(
    State(asked): State<Arc<Mutex<Asked>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mut asked = asked.lock().unwrap();
    asked.questions.push(Question { headers, body });
    let last = asked.answers.len() - 1;
    let (status, text) = asked.answers[last.min(asked.questions.len() - 1)];
    (StatusCode::from_u16(status).unwrap(), text)
}
