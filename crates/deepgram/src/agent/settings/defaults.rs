//! What an agent is where nothing was said.

use serde_json::{Map, Value, json};

/// Fills in what is absent. What is there stays, even if it is wrong.
pub(super) fn complete(agent: &mut Map<String, Value>) {
    let listen = agent.entry("listen").or_insert_with(|| json!({}));
    for listen in super::entries_mut(Some(listen)) {
        complete_provider(listen, "deepgram", "nova-3");
    }
    let think = agent.entry("think").or_insert_with(|| json!({}));
    for think in super::entries_mut(Some(think)) {
        complete_provider(think, "open_ai", "gpt-4o-mini");
        think.entry("prompt").or_insert_with(|| PROMPT.into());
    }
    let speak = agent.entry("speak").or_insert_with(|| json!({}));
    for speak in super::entries_mut(Some(speak)) {
        complete_provider(speak, "deepgram", "aura-2-thalia-en");
    }
    agent.entry("greeting").or_insert_with(|| GREETING.into());
}

/// The default model is that of the default provider; its v2 (Flux) has other models.
fn complete_provider(part: &mut Map<String, Value>, kind: &str, model: &str) {
    let provider = part.entry("provider").or_insert_with(|| json!({}));
    if let Value::Object(provider) = provider {
        provider.entry("type").or_insert_with(|| kind.into());
        let is_default = provider.get("type").is_some_and(|given| given == kind)
            && provider
                .get("version")
                .is_none_or(|version| version != "v2");
        if is_default {
            provider.entry("model").or_insert_with(|| model.into());
        }
    }
}

const PROMPT: &str = "You are a helpful AI assistant focused on customer service.";
const GREETING: &str = "Hello! How can I help you today?";
