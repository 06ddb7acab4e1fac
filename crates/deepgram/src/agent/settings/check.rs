//! What can be wrong with a document.
//!
//! Deepgram ends a session over most of this, in the middle of a call. Names and values that are
//! merely unknown pass: Deepgram may know them by now.

use serde_json::{Map, Value};

use super::Fault;

type Object = Map<String, Value>;

/// Faults of everything around `agent`.
pub(super) fn session(session: &Object) -> Vec<Fault> {
    let mut check = Check::default();
    check.names("", session, SESSION);
    check.kind("", session, "type", "`Settings`", |kind| kind == "Settings");
    check.texts("", session, "tags");
    check.boolean("", session, "mip_opt_out");
    check.faults
}

/// Faults of a completed agent object.
pub(super) fn agent(path: &str, agent: &Object) -> Vec<Fault> {
    let mut check = Check::default();
    check.names(path, agent, AGENT);
    check.text(path, agent, "greeting");
    check.text(path, agent, "language");
    if let Some(context) = check.object(path, agent, "context") {
        let path = join(path, "context");
        check.kind(&path, context, "messages", "a list", Value::is_array);
    }
    if let Some(listen) = check.object(path, agent, "listen") {
        check.listen(&join(path, "listen"), listen);
    }
    if let Some(think) = agent.get("think") {
        check.each(&join(path, "think"), think, |check, path, think| {
            check.required(path, think, "provider", "it names the model");
            check.think(path, think);
        });
    }
    if let Some(part) = agent.get("speak") {
        check.faults.extend(speak(&join(path, "speak"), part));
    }
    check.faults
}

/// Faults of a `think` that replaces parts of the one that is.
pub(super) fn think_update(path: &str, think: &Value) -> Vec<Fault> {
    let mut check = Check::default();
    check.each(path, think, Check::think);
    check.faults
}

/// Faults of `speak`.
pub(super) fn speak(path: &str, speak: &Value) -> Vec<Fault> {
    let mut check = Check::default();
    check.each(path, speak, |check, path, speak| {
        check.required(path, speak, "provider", "it names the voice");
        check.speak(path, speak);
    });
    check.faults
}

/// Faults of a function.
pub(super) fn function(path: &str, function: &Value) -> Vec<Fault> {
    let mut check = Check::default();
    check.function(path, function);
    check.faults
}

/// Whether this is an id of Deepgram's: 32 digits in the usual groups.
pub(super) fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    let is_group = |group: Option<&str>, digits: usize| {
        group.is_some_and(|group| {
            group.len() == digits && group.bytes().all(|b| b.is_ascii_hexdigit())
        })
    };
    [8, 4, 4, 4, 12]
        .into_iter()
        .all(|digits| is_group(groups.next(), digits))
        && groups.next().is_none()
}

/// The path of a member of `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of an item of the list `path`.
pub(super) fn item(path: &str, n: usize) -> String {
    format!("{path}[{n}]")
}

#[derive(Default)]
struct Check {
    faults: Vec<Fault>,
}

impl Check {
    fn listen(&mut self, path: &str, listen: &Object) {
        self.names(path, listen, &["provider"]);
        let Some(provider) = self.object(path, listen, "provider") else {
            return;
        };
        let path = &join(path, "provider");
        self.names(path, provider, LISTEN_PROVIDER);
        for key in ["type", "version", "model", "language"] {
            self.text(path, provider, key);
        }
        self.texts(path, provider, "keyterms");
        self.texts(path, provider, "language_hints");
        self.boolean(path, provider, "smart_format");
        self.range(path, provider, "eot_threshold", (0.5, 1.0));
        self.range(path, provider, "eager_eot_threshold", (0.3, 0.9));
        self.whole_range(path, provider, "eot_timeout_ms", (500, 60_000));
        let model = text_of(provider, "model");
        let is_v2 = text_of(provider, "version") == Some("v2");
        match model {
            Some(model) if model.starts_with("flux") && !is_v2 => {
                let what = format!("must be `v2` for `{model}`: the default version knows no Flux");
                self.fault(&join(path, "version"), what);
            }
            None if is_v2 => {
                let why = "version `v2` needs a Flux model, such as `flux-general-en`";
                self.required(path, provider, "model", why);
            }
            _ => {}
        }
    }

    /// All of `think` but that it has a provider.
    fn think(&mut self, path: &str, think: &Object) {
        self.names(path, think, THINK);
        self.text(path, think, "prompt");
        self.kind(
            path,
            think,
            "context_length",
            "`max` or a number of characters",
            |length| length == "max" || length.as_u64().is_some_and(|length| length > 0),
        );
        self.endpoint(path, think);
        self.functions(path, think);
        let Some(provider) = self.object(path, think, "provider") else {
            return;
        };
        let provider_path = &join(path, "provider");
        self.names(provider_path, provider, THINK_PROVIDER);
        self.required(provider_path, provider, "type", "such as `open_ai`");
        self.required(provider_path, provider, "model", "such as `gpt-4o-mini`");
        for key in ["type", "version", "model"] {
            self.text(provider_path, provider, key);
        }
        let kind = text_of(provider, "type").unwrap_or_default();
        let hottest = if kind == "anthropic" { 1.0 } else { 2.0 };
        self.range(provider_path, provider, "temperature", (0.0, hottest));
        if matches!(kind, "groq" | "aws_bedrock") {
            let why = format!("Deepgram does not host `{kind}`");
            self.required(path, think, "endpoint", &why);
        }
    }

    fn speak(&mut self, path: &str, speak: &Object) {
        self.names(path, speak, &["provider", "endpoint"]);
        self.endpoint(path, speak);
        let Some(provider) = self.object(path, speak, "provider") else {
            return;
        };
        let provider_path = &join(path, "provider");
        self.names(provider_path, provider, SPEAK_PROVIDER);
        self.required(provider_path, provider, "type", "such as `deepgram`");
        for key in ["type", "version", "model", "model_id"] {
            self.text(provider_path, provider, key);
        }
        match text_of(provider, "type") {
            Some("deepgram") => {
                let why = "such as `aura-2-thalia-en`";
                self.required(provider_path, provider, "model", why);
                self.range(provider_path, provider, "speed", (0.7, 1.5));
                self.whole_range(provider_path, provider, "expressivity", (-2, 2));
                if provider.contains_key("language") {
                    let what = "is not for a voice of Deepgram's: the name of the voice says its \
                                language, so take this out";
                    self.fault(&join(provider_path, "language"), what);
                }
            }
            Some(kind) => {
                let why = format!("Deepgram does not host `{kind}`");
                self.required(path, speak, "endpoint", &why);
            }
            None => {}
        }
    }

    fn endpoint(&mut self, path: &str, part: &Object) {
        let Some(endpoint) = self.object(path, part, "endpoint") else {
            return;
        };
        let path = &join(path, "endpoint");
        self.names(path, endpoint, &["url", "method", "headers"]);
        self.required(path, endpoint, "url", "it says where to send requests");
        self.kind(path, endpoint, "url", "an https or wss URL", |url| {
            let schemes = ["https://", "http://", "wss://", "ws://"];
            url.as_str()
                .is_some_and(|url| schemes.iter().any(|scheme| url.starts_with(scheme)))
        });
        self.text(path, endpoint, "method");
        self.object(path, endpoint, "headers");
    }

    fn functions(&mut self, path: &str, think: &Object) {
        self.kind(path, think, "functions", "a list", Value::is_array);
        let Some(Value::Array(functions)) = think.get("functions") else {
            return;
        };
        let path = &join(path, "functions");
        for (n, function) in functions.iter().enumerate() {
            self.function(&item(path, n), function);
            let name = &function["name"];
            if functions.iter().take(n).any(|other| &other["name"] == name) && name.is_string() {
                let what = format!("is {name} a second time: a name is one function's");
                self.fault(&join(&item(path, n), "name"), what);
            }
        }
    }

    fn function(&mut self, path: &str, function: &Value) {
        let Value::Object(function) = function else {
            self.fault(
                path,
                "must be an object with name, description and parameters",
            );
            return;
        };
        self.names(path, function, FUNCTION);
        self.required(path, function, "name", "the model calls it by its name");
        self.required(
            path,
            function,
            "description",
            "it tells the model what it is for",
        );
        self.required(
            path,
            function,
            "parameters",
            "a JSON schema of its arguments; without any, `{\"type\": \"object\", \"properties\": {}}`",
        );
        let allowed = "1 to 64 letters, digits, `_` or `-`";
        self.kind(path, function, "name", allowed, |name| {
            name.as_str().is_some_and(|name| {
                (1..=64).contains(&name.len())
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            })
        });
        self.text(path, function, "description");
        self.object(path, function, "parameters");
        self.boolean(path, function, "defer_until_eot");
        self.endpoint(path, function);
    }

    /// Checks a part that is an object, or a list of those that stand in for each other.
    fn each(&mut self, path: &str, part: &Value, check: impl Fn(&mut Self, &str, &Object)) {
        match part {
            Value::Object(one) => check(self, path, one),
            Value::Array(list) if !list.is_empty() => {
                for (n, entry) in list.iter().enumerate() {
                    match entry {
                        Value::Object(entry) => check(self, &item(path, n), entry),
                        _ => self.fault(&item(path, n), "must be an object"),
                    }
                }
            }
            _ => self.fault(path, "must be an object, or a list of one or more"),
        }
    }

    /// An unknown name passes, unless it is nearly a known one.
    fn names(&mut self, path: &str, object: &Object, known: &[&str]) {
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            let near = (name.len() / 3).clamp(1, 2);
            let closest = known
                .iter()
                .map(|known| (strsim::levenshtein(name, known), known))
                .min()
                .filter(|(distance, _)| *distance <= near && name.len() <= MAX_NAME_BYTES);
            if let Some((_, closest)) = closest {
                let what = format!("is no name Deepgram knows; did you mean `{closest}`?");
                self.fault(&join(path, name), what);
            }
        }
    }

    fn required(&mut self, path: &str, object: &Object, key: &str, why: &str) {
        if object
            .get(key)
            .is_none_or(|value| value.is_null() || value == "")
        {
            self.fault(&join(path, key), format!("is missing: {why}"));
        }
    }

    fn object<'v>(&mut self, path: &str, object: &'v Object, key: &str) -> Option<&'v Object> {
        self.kind(path, object, key, "an object", Value::is_object);
        object.get(key)?.as_object()
    }

    fn text(&mut self, path: &str, object: &Object, key: &str) {
        self.kind(path, object, key, "a text", Value::is_string);
    }

    fn texts(&mut self, path: &str, object: &Object, key: &str) {
        self.kind(path, object, key, "a list of texts", |list| {
            list.as_array()
                .is_some_and(|list| list.iter().all(Value::is_string))
        });
    }

    fn boolean(&mut self, path: &str, object: &Object, key: &str) {
        self.kind(path, object, key, "`true` or `false`", Value::is_boolean);
    }

    fn range(&mut self, path: &str, object: &Object, key: &str, (least, most): (f64, f64)) {
        let allowed = format!("a number from {least} to {most}");
        self.kind(path, object, key, &allowed, |number| {
            number
                .as_f64()
                .is_some_and(|number| (least..=most).contains(&number))
        });
    }

    fn whole_range(&mut self, path: &str, object: &Object, key: &str, (least, most): (i64, i64)) {
        let allowed = format!("a whole number from {least} to {most}");
        self.kind(path, object, key, &allowed, |number| {
            number
                .as_i64()
                .is_some_and(|number| (least..=most).contains(&number))
        });
    }

    /// Checks a member, if it is there.
    fn kind(
        &mut self,
        path: &str,
        object: &Object,
        key: &str,
        allowed: &str,
        is_allowed: impl Fn(&Value) -> bool,
    ) {
        if object.get(key).is_some_and(|value| !is_allowed(value)) {
            self.fault(&join(path, key), format!("must be {allowed}"));
        }
    }

    fn fault(&mut self, path: &str, what: impl Into<String>) {
        self.faults.push(Fault {
            path: path.to_owned(),
            what: what.into(),
        });
    }
}

fn text_of<'v>(object: &'v Object, key: &str) -> Option<&'v str> {
    object.get(key)?.as_str()
}

const SESSION: &[&str] = &[
    "type",
    "tags",
    "experimental",
    "flags",
    "mip_opt_out",
    "audio",
    "agent",
];
const AGENT: &[&str] = &[
    "language",
    "context",
    "listen",
    "think",
    "speak",
    "greeting",
    "think_live",
];
const LISTEN_PROVIDER: &[&str] = &[
    "type",
    "version",
    "model",
    "language",
    "language_hints",
    "keyterms",
    "smart_format",
    "eot_threshold",
    "eager_eot_threshold",
    "eot_timeout_ms",
];
const THINK: &[&str] = &[
    "provider",
    "endpoint",
    "functions",
    "prompt",
    "context_length",
];
const THINK_PROVIDER: &[&str] = &[
    "type",
    "version",
    "model",
    "temperature",
    "reasoning_mode",
    "credentials",
];
const SPEAK_PROVIDER: &[&str] = &[
    "type",
    "version",
    "model",
    "model_id",
    "voice",
    "language",
    "engine",
    "speed",
    "expressivity",
    "volume",
    "credentials",
];
const FUNCTION: &[&str] = &[
    "name",
    "description",
    "parameters",
    "endpoint",
    "defer_until_eot",
];
const MAX_NAME_BYTES: usize = 100;
