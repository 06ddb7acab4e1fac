//! Twilio's REST API as a test tells it to be: it writes down what it is asked, and answers as
//! Twilio does unless it is told another answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::serve::{Builder, soon};
use crate::twilio::{ACCOUNT, TOKEN, call_sid, stream_sid};

/// A request it got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path, as in `POST /Calls.json`: that of the account is left out.
    pub(crate) what: String,
    fields: Vec<(String, String)>,
}

impl Asked {
    /// The values of a field, one after the other.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self.fields.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let values = self.all(name);
        let [value] = values[..] else {
            panic!("not one {name} in {self:?}")
        };
        value
    }

    /// The TwiML it carries, without its declaration.
    #[track_caller]
    pub(crate) fn twiml(&self) -> &str {
        let declared = self
            .field("Twiml")
            .strip_prefix(r#"<?xml version="1.0" encoding="UTF-8"?>"#);
        declared.expect("a declaration comes first").trim()
    }
}

struct Shared {
    asked: Mutex<Vec<Asked>>,
    answers: Mutex<VecDeque<(u16, String)>>,
    changed: watch::Sender<u64>,
    open: watch::Sender<bool>,
}

/// It listens for as long as this lives.
pub(crate) struct Rest {
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Rest {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            asked: Mutex::default(),
            answers: Mutex::default(),
            changed: watch::Sender::new(0),
            open: watch::Sender::new(true),
        });
        let serving = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut sockets = JoinSet::new();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    sockets.spawn(answer(socket, Arc::clone(&shared)));
                }
            }
        });
        Self {
            url,
            shared,
            serving,
        }
    }

    /// A gateway with its credentials.
    pub(crate) fn serve(&self) -> Builder {
        crate::serve::serve()
            .env("TWILIO_API_URL", &self.url)
            .env("TWILIO_ACCOUNT_SID", ACCOUNT)
            .env("TWILIO_AUTH_TOKEN", TOKEN)
    }

    /// What it answers next; after that it answers as Twilio does.
    pub(crate) fn answers(&self, status: u16, body: &str) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.push_back((status, body.to_owned()));
    }

    /// The next answer is an error of Twilio's.
    pub(crate) fn refuses(&self, status: u16, code: u32, message: &str) {
        let body = format!(
            r#"{{"code":{code},"message":"{message}","more_info":"https://www.twilio.com/docs/errors/{code}","status":{status}}}"#
        );
        self.answers(status, &body);
    }

    /// Keeps its answers back, or lets them go.
    pub(crate) fn hold(&self, is_held: bool) {
        self.shared.open.send_replace(!is_held);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits for the request of this number, counted from 0.
    pub(crate) async fn request(&self, index: usize) -> Asked {
        let mut changes = self.shared.changed.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if let Some(asked) = self.asked().into_iter().nth(index) {
                    return asked;
                }
                changes.changed().await.unwrap();
            }
        };
        soon("a request to Twilio's REST API", waiting).await
    }
}

async fn answer(mut socket: TcpStream, shared: Arc<Shared>) {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else {
            return;
        };
        header.push(byte);
    }
    let header = String::from_utf8(header).unwrap();
    let length = header.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await.unwrap();

    let line = header.lines().next().unwrap();
    let what = line.strip_suffix(" HTTP/1.1").unwrap();
    let what = what.replace(&format!("/2010-04-01/Accounts/{ACCOUNT}"), "");
    let fields = url::form_urlencoded::parse(&body).into_owned().collect();
    let asked = Asked { what, fields };
    let told = shared.answers.lock().unwrap().pop_front();
    let (status, body) = told.unwrap_or_else(|| usual(&asked));
    shared.asked.lock().unwrap().push(asked);
    shared.changed.send_modify(|n| *n += 1);
    let mut open = shared.open.subscribe();
    open.wait_for(|open| *open).await.unwrap();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
}

/// What Twilio would answer. The first call that is placed is the first of the tests.
fn usual(asked: &Asked) -> (u16, String) {
    match asked.what.as_str() {
        "POST /Calls.json" => (201, call(1, "queued")),
        streams if streams.contains("/Streams") => {
            let sid = stream_sid(1);
            (
                200,
                format!(r#"{{"sid":"{sid}","status":"in-progress","name":"sidetone"}}"#),
            )
        }
        _ => (200, call(1, "in-progress")),
    }
}

/// A call as Twilio's REST API writes it.
pub(crate) fn call(number: u32, status: &str) -> String {
    let sid = call_sid(number);
    format!(
        r#"{{"sid":"{sid}","account_sid":"{ACCOUNT}","status":"{status}","from":"+15005550006","to":"+15551230002","direction":"outbound-api","duration":null,"price":null,"queue_time":"0","subresource_uris":{{}}}}"#
    )
}
