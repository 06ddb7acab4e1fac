//! Which models take what.

/// The families of models that differ in what they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Nova3,
    Older,
    Flux,
    /// Trained for a customer, newer than this list, or misspelt: nothing is known of it.
    Other,
}

pub(crate) fn model_family(model: &str) -> Family {
    let is = |name: &str, variants: &[&str]| {
        model.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix('-')
                    .is_some_and(|variant| variants.contains(&variant))
        })
    };
    if is("nova-3", NOVA_3_VARIANTS) {
        Family::Nova3
    } else if model.starts_with("flux") {
        Family::Flux
    } else if OLDER_MODELS
        .iter()
        .any(|(name, variants)| is(name, variants))
    {
        Family::Older
    } else {
        Family::Other
    }
}

const NOVA_3_VARIANTS: &[&str] = &["general", "medical"];

/// Names, and what may follow them after a hyphen.
const OLDER_MODELS: &[(&str, &[&str])] = &[
    (
        "nova-2",
        &[
            "general",
            "meeting",
            "finance",
            "conversationalai",
            "voicemail",
            "video",
            "medical",
            "drivethru",
            "automotive",
            "phonecall",
        ],
    ),
    ("nova", &["general", "phonecall", "medical"]),
    ("enhanced", &["general", "meeting", "phonecall", "finance"]),
    ("base", &[]),
    ("meeting", &[]),
    ("phonecall", &[]),
    ("finance", &[]),
    ("conversationalai", &[]),
    ("voicemail", &[]),
    ("video", &[]),
];
