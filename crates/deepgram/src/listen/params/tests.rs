use proptest::prelude::*;

use super::*;

#[track_caller]
fn refused(name: &str, values: &[&str]) -> String {
    Params::new().set(name, values).unwrap_err().to_string()
}

#[track_caller]
fn conflict(settings: &[(&str, &str)]) -> String {
    let mut params = Params::default_profile();
    for (name, value) in settings {
        params.set(name, &[value]).unwrap();
    }
    params.check().unwrap_err().to_string()
}

#[test]
fn the_default_profile_asks_for_interims_of_us_english() {
    let params = Params::default_profile();
    assert_eq!(params.check(), Ok(()));
    assert!(params.interim_results());
    assert_eq!(
        params.query(1, "CA01"),
        "encoding=mulaw&sample_rate=8000&model=nova-3&interim_results=true&language=en-US\
         &smart_format=true&tag=sidetone&extra=call_sid%3ACA01"
    );
}

#[test]
fn two_channels_are_heard_apart() {
    let query = Params::new().query(2, "CA01");
    assert_eq!(
        query,
        "encoding=mulaw&sample_rate=8000&channels=2&multichannel=true&model=nova-3\
         &tag=sidetone&extra=call_sid%3ACA01"
    );
}

#[test]
fn repeatable_parameters_are_repeated_and_encoded() {
    let mut params = Params::new();
    params.set("keyterm", &["two words", "a&b=c"]).unwrap();
    params.set("tag", &["mine"]).unwrap();
    let query = params.query(1, "CA01");
    assert!(
        query.contains("keyterm=two+words&keyterm=a%26b%3Dc&tag=mine&tag=sidetone"),
        "{query}"
    );
}

#[test]
fn a_misspelt_name_is_answered_with_the_closest() {
    assert_eq!(
        refused("interim_result", &["true"]),
        "Deepgram's live transcription has no parameter `interim_result`; \
         did you mean `interim_results`?"
    );
    assert!(refused("modle", &["nova-3"]).ends_with("did you mean `model`?"));
    assert!(refused("smartformat", &["true"]).ends_with("did you mean `smart_format`?"));
    assert!(refused("xylophone", &["true"]).ends_with("`xylophone`"));
    assert!(refused("", &["true"]).ends_with("``"));
}

#[test]
fn a_bad_value_is_answered_with_what_is_allowed() {
    assert_eq!(
        refused("interim_results", &["yes"]),
        "`interim_results` is `yes`, but must be `true` or `false`"
    );
    assert_eq!(
        refused("utterance_end_ms", &["900"]),
        "`utterance_end_ms` is `900`, but must be a number of ms from 1000 to 5000"
    );
    assert_eq!(
        refused("diarize_model", &["v2"]),
        "`diarize_model` is `v2`, but must be `latest` or `v1`"
    );
    assert_eq!(
        refused("language", &["english"]),
        "`language` is `english`, but must be a language tag such as `en-US`, or `multi`"
    );
    for (name, value) in [
        ("endpointing", "-1"),
        ("endpointing", "+300"),
        ("model", ""),
        ("model", "nova 3"),
        ("keyterm", "line\nbreak"),
        ("keywords", "word:loud"),
        ("extra", "nocolon"),
        ("replace", "nocolon"),
        ("redact", "two words"),
    ] {
        assert!(
            refused(name, &[value]).contains("must be"),
            "{name}={value}"
        );
    }
}

#[test]
fn a_single_valued_parameter_takes_one_value() {
    assert_eq!(
        refused("model", &["nova-3", "nova-2"]),
        "`model` takes one value, but was given 2"
    );
    assert_eq!(
        refused("keyterm", &[]),
        "`keyterm` takes one value or more, but was given 0"
    );
}

#[test]
fn what_sidetone_sets_itself_is_refused_with_the_reason() {
    for name in [
        "encoding",
        "sample_rate",
        "channels",
        "multichannel",
        "callback",
        "callback_method",
    ] {
        let said = refused(name, &["1"]);
        assert!(said.contains("is set by Sidetone"), "{said}");
    }
}

#[test]
fn every_parameter_takes_a_sound_value() {
    let sound = [
        ("model", "nova-3-medical"),
        ("version", "latest"),
        ("language", "multi"),
        ("language", "es-419"),
        ("language_hint", "de"),
        ("endpointing", "300"),
        ("endpointing", "false"),
        ("utterance_end_ms", "1000"),
        ("vad_events", "true"),
        ("punctuate", "true"),
        ("no_delay", "true"),
        ("numerals", "false"),
        ("profanity_filter", "true"),
        ("filler_words", "true"),
        ("dictation", "true"),
        ("diarize", "true"),
        ("diarize_model", "latest"),
        ("detect_entities", "true"),
        ("keywords", "hello:1.5"),
        ("search", "a phrase"),
        ("replace", "gonna:going to"),
        ("redact", "pci"),
        ("tag", "team a"),
        ("extra", "order:17"),
        ("mip_opt_out", "true"),
        ("tier", "enhanced"),
    ];
    for (name, value) in sound {
        let mut params = Params::new();
        assert_eq!(params.set(name, &[value]), Ok(()), "{name}={value}");
        assert_eq!(params.values(name), [value]);
    }
}

#[test]
fn combinations_that_deepgram_refuses_are_found_with_a_remedy() {
    assert_eq!(
        conflict(&[("keywords", "hello")]),
        "`keywords` does not go with the model `nova-3`: use `keyterm` instead"
    );
    assert!(conflict(&[("model", "nova-2-phonecall"), ("keyterm", "hello")]).contains("keywords"));
    assert!(
        conflict(&[("interim_results", "false"), ("utterance_end_ms", "1000")])
            .contains("interim_results = true")
    );
    assert!(conflict(&[("diarize", "true"), ("diarize_model", "v1")]).contains("diarize_model"));
    assert!(conflict(&[("model", "flux-general-en")]).contains("nova-3"));
    for name in ["summarize", "topics", "intents", "sentiment"] {
        assert!(
            conflict(&[(name, "true")]).contains("recordings only"),
            "{name}"
        );
    }
}

#[test]
fn what_may_be_together_is_left_alone() {
    let mut params = Params::default_profile();
    params.set("utterance_end_ms", &["1000"]).unwrap();
    params.set("keyterm", &["Sidetone"]).unwrap();
    params.set("summarize", &["false"]).unwrap();
    assert_eq!(params.check(), Ok(()));
    params
        .set("model", &["0dc0f1a8-9c05-4a73-8a6c-2f3a3d1d0f77"])
        .unwrap();
    assert_eq!(params.check(), Ok(()), "nothing is known of a custom model");
}

proptest! {
    #[test]
    fn any_name_and_value_is_judged_without_a_panic(name in ".{0,40}", value in ".{0,1100}") {
        let mut params = Params::new();
        if let Err(error) = params.set(&name, &[&value]) {
            prop_assert!(!error.to_string().is_empty());
            prop_assert_eq!(params, Params::new());
        }
    }

    #[test]
    fn what_a_query_says_is_read_back(term in "[^\\p{Cc}]{1,50}") {
        let mut params = Params::default_profile();
        prop_assume!(params.set("keyterm", &[&term]).is_ok());
        let query = crate::listen::query::Query::parse(&params.query(2, "CA01")).unwrap();
        prop_assert_eq!(query.keyterms, vec![term]);
        prop_assert_eq!(query.channels, 2);
        prop_assert!(query.multichannel && query.interim_results && query.smart_format);
    }
}
