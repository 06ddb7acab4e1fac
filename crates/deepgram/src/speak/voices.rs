//! The voices of Aura, as of autumn 2026. Only an emulator has to know them: a voice that is
//! newer than this list is Deepgram's to judge.

/// Whether there is an Aura voice of this name: `aura-VOICE-en` or `aura-2-VOICE-LANGUAGE`.
pub fn is_voice(model: &str) -> bool {
    let mut parts = model.split('-');
    let Some(("aura", first)) = parts.next().zip(parts.next()) else {
        return false;
    };
    let (voices, name) = match first {
        "2" => (AURA_2, parts.next()),
        name => (AURA_1, Some(name)),
    };
    let (Some(name), Some(language), None) = (name, parts.next(), parts.next()) else {
        return false;
    };
    let spoken = voices.iter().find(|(spoken, _)| *spoken == language);
    spoken.is_some_and(|(_, names)| names.split_whitespace().any(|known| known == name))
}

const AURA_1: &[(&str, &str)] = &[(
    "en",
    "angus arcas asteria athena helios hera luna orion orpheus perseus stella zeus",
)];

const AURA_2: &[(&str, &str)] = &[
    (
        "en",
        "amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia \
         delia draco electra harmonia helena hera hermes hyperion iris janus juno jupiter luna \
         mars minerva neptune odysseus ophelia orion orpheus pandora phoebe pluto saturn selene \
         thalia theia vesta zeus",
    ),
    (
        "es",
        "agustina alvaro antonia aquila carina celeste diana estrella gloria javier luciano \
         nestor olivia selena silvia sirio valerio",
    ),
    ("de", "aurelia elara fabian julius kara lara viktoria"),
    (
        "nl",
        "beatrix cornelia daphne hestia lars leda rhea roman sander",
    ),
    ("fr", "agathe hector"),
    (
        "it",
        "cesare cinzia demetra dionisio elio flavio livia maia melia",
    ),
    ("ja", "ama ebisu fujin izanami uzume"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_has_a_generation_a_name_and_a_language_it_speaks() {
        for voice in [
            "aura-asteria-en",
            "aura-2-thalia-en",
            "aura-2-zeus-en",
            "aura-2-carina-es",
            "aura-2-uzume-ja",
        ] {
            assert!(is_voice(voice), "{voice}");
        }
        for other in [
            "",
            "aura",
            "aura-2",
            "aura-thalia-en",
            "aura-2-thalia",
            "aura-2-thalia-de",
            "aura-2-thalia-en-x",
            "aura-3-thalia-en",
            "flux-kit-en",
            "nova-3",
        ] {
            assert!(!is_voice(other), "{other}");
        }
    }
}
