//! Functions that a webhook answers.

use serde_json::{Value, json};
use sidetone_call::event::{EventData, FunctionEnd};
use sidetone_deepgram::agent::settings::FunctionSpec;
use sidetone_gateway::config::{Agent, Function, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{agent, call, talking};
use crate::agent::provider::Provider;
use crate::support::{CALL_SID, Running, within};
use crate::wire::metric;

/// An agent that can look up orders, at this address.
fn looking_up(url: &str) -> Agent {
    let parameters = json!({
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "required": ["id"],
    });
    let mut agent = agent(json!({}));
    let spec = FunctionSpec {
        name: "lookup_order".to_owned(),
        description: Some("Finds an order by number".to_owned()),
        parameters: parameters.clone(),
        defer_until_eot: false,
    };
    agent.settings.add_function(spec).unwrap();
    let webhook = Webhook::new(url.parse().unwrap(), &parameters, None, false).unwrap();
    let webhook = Function::Webhook(webhook);
    agent.functions.insert("lookup_order".to_owned(), webhook);
    agent
}

/// A request to a webhook whose answer is still to be given.
struct Asked {
    socket: TcpStream,
    body: Value,
}

impl Asked {
    async fn accept(listener: &TcpListener) -> Self {
        within(async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            loop {
                socket.read_buf(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request);
                if let Some((_, body)) = text.split_once("\r\n\r\n")
                    && let Ok(body) = serde_json::from_str(body)
                {
                    return Self { socket, body };
                }
            }
        })
        .await
    }

    async fn answer(mut self, body: &str) {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        within(self.socket.write_all(answer.as_bytes()))
            .await
            .unwrap();
    }

    /// Waits until nobody waits for the answer any more.
    async fn given_up(mut self) {
        let mut rest = [0; 64];
        let read = within(self.socket.read(&mut rest)).await;
        assert!(matches!(read, Ok(0) | Err(_)), "more is asked");
    }
}

async fn called(gateway: &Running) -> (FunctionEnd, Option<String>) {
    match gateway.event(CALL_SID, "agent.function_called").await {
        EventData::AgentFunctionCalled(called) => (called.outcome, called.result),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_webhook_answers_is_told_to_the_agent() {
    let orders = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", orders.local_addr().unwrap());
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, looking_up(&url))).await;
    let mut phone = call(&gateway).await;
    let (mut session, settings) = provider.session().await;
    let declared = &settings["agent"]["think"]["functions"][0];
    assert_eq!(declared["name"], "lookup_order");
    assert!(declared.get("endpoint").is_none(), "{declared}");

    // Two at once, answered in the other order.
    session
        .call("func_1", "lookup_order", &json!({"id": "A7"}))
        .await;
    let first = Asked::accept(&orders).await;
    session
        .call("func_2", "lookup_order", &json!({"id": "B8"}))
        .await;
    let second = Asked::accept(&orders).await;
    assert_eq!(first.body["call"]["from"], "+15550001");
    assert_eq!(
        first.body["call"]["custom_parameters"],
        json!({"name": "Ada"})
    );
    assert_eq!(
        first.body["function"],
        json!({"id": "func_1", "name": "lookup_order"})
    );
    assert_eq!(second.body["arguments"], json!({"id": "B8"}));
    second.answer("lost").await;
    let response = session.expect("FunctionCallResponse").await;
    assert_eq!(
        (&response["id"], &response["content"]),
        (&json!("func_2"), &json!("lost"))
    );
    first.answer(r#"{"status":"shipped"}"#).await;
    let response = session.expect("FunctionCallResponse").await;
    assert_eq!(response["id"], "func_1");
    assert_eq!(response["content"], r#"{"status":"shipped"}"#);

    assert_eq!(
        called(&gateway).await,
        (FunctionEnd::Ok, Some("lost".to_owned()))
    );
    phone.stop().await;
    gateway.no_live_call().await;
    let series = r#"sidetone_agent_functions_total{outcome="ok"}"#;
    assert_eq!(metric(gateway.address, series).await, 2.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_failure_is_told_to_the_agent_in_words() {
    let orders = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", orders.local_addr().unwrap());
    drop(orders);
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, looking_up(&url))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    session
        .call("func_1", "lookup_order", &json!({"id": "A7"}))
        .await;
    let response = session.expect("FunctionCallResponse").await;
    let content = response["content"].as_str().unwrap();
    assert!(
        content.contains("lookup_order could not be reached"),
        "{content}"
    );
    assert_eq!(called(&gateway).await.0, FunctionEnd::Failed);
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_function_that_is_revoked_is_given_up() {
    let orders = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", orders.local_addr().unwrap());
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, looking_up(&url))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    session
        .call("func_1", "lookup_order", &json!({"id": "A7"}))
        .await;
    let asked = Asked::accept(&orders).await;
    let revoked = json!([{"id": "func_1", "name": "lookup_order"}]);
    session
        .say(json!({"type": "FunctionCallCancelled", "functions": revoked}))
        .await;
    asked.given_up().await;
    assert_eq!(called(&gateway).await, (FunctionEnd::Cancelled, None));
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}
