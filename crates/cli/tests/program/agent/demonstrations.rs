//! `sidetone demo --agent`.

use serde_json::{Value, json};

use crate::command::sidetone;

#[tokio::test]
async fn the_demonstration_of_an_agent_proves_itself() {
    let outcome = sidetone(["demo", "--agent", "--json"]).run().await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(
        summary["words"]["heard"].as_u64().unwrap() > 40,
        "{summary}"
    );
    assert_eq!(summary["cuts"], 1);
    assert_eq!(summary["functions"], json!(["lookup_order", "hangup"]));
    assert_eq!(summary["signed_requests"], 1);
}

#[tokio::test]
async fn the_demonstration_of_an_agent_that_is_not_there_fails() {
    let refused = ["--fault", "agent-refuse:status=401,times=all"];
    let outcome = sidetone(["demo", "--agent", "--json"].into_iter().chain(refused))
        .run()
        .await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(summary["functions"], json!([]));
}
