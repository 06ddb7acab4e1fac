use std::collections::BTreeMap;

use sidetone_gateway::config::{Deepgram, Profile};

use super::*;

const NUMBER: &str = "+15005550006";

fn config(numbers: &[(&str, &str)]) -> Config {
    let deepgram = Deepgram::new("ws://127.0.0.1:9".parse().unwrap(), "key".into());
    let owned = |(number, profile): &(&str, &str)| ((*number).to_owned(), (*profile).to_owned());
    Config {
        profiles: ["default", "desk"]
            .map(|name| (name.to_owned(), Profile::default()))
            .into(),
        numbers: numbers.iter().map(owned).collect::<BTreeMap<_, _>>(),
        ..Config::new(Vec::new(), deepgram)
    }
}

/// A number that leads to `https://voice.example.com/a/voice`.
fn number(phone_number: &str) -> PhoneNumber {
    PhoneNumber {
        sid: "PN00000000000000000000000000000006".parse().unwrap(),
        phone_number: phone_number.to_owned(),
        voice_url: Some("https://voice.example.com/a/voice".into()),
        voice_method: Some("POST".into()),
        status_callback: Some("https://voice.example.com/a/twilio/call-status".into()),
        status_callback_method: Some("POST".into()),
        voice_application_sid: None,
        trunk_sid: None,
    }
}

/// What is found of the account's numbers, a line each.
fn found(config: &Config, named: &[&str], owned: &[PhoneNumber]) -> Vec<String> {
    let public_url = "https://voice.example.com/a/".parse().unwrap();
    let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
    look(config, &public_url, &named, owned)
        .iter()
        .map(|finding| {
            let finding = serde_json::to_value(finding).unwrap();
            let remedy = finding["remedy"].as_str();
            let remedy = remedy.map_or_else(String::new, |remedy| format!(": {remedy}"));
            let text = |key: &str| finding[key].as_str().unwrap().to_owned();
            format!("{} {}{remedy}", text("status"), text("detail"))
        })
        .collect()
}

#[track_caller]
fn check_wrong(change: impl FnOnce(&mut PhoneNumber), what: &str) {
    let mut number = number(NUMBER);
    change(&mut number);
    assert_eq!(
        found(&config(&[(NUMBER, "desk")]), &[], &[number]),
        [format!(
            "failed {NUMBER}: {what}: `sidetone number {NUMBER}` points it here"
        )]
    );
}

#[test]
fn a_number_that_leads_here_is_told_with_its_profile() {
    let owned = [number(NUMBER)];
    assert_eq!(
        found(&config(&[(NUMBER, "desk")]), &[], &owned),
        [format!("ok {NUMBER} leads here (profile desk)")]
    );
    assert_eq!(
        found(&config(&[]), &[NUMBER], &owned),
        [format!("ok {NUMBER} leads here (profile default)")]
    );
    let mut named = number(NUMBER);
    named.voice_url = Some("https://voice.example.com/a/voice/desk".into());
    assert_eq!(
        found(&config(&[]), &[NUMBER], &[named]),
        [format!("ok {NUMBER} leads here (profile desk)")]
    );
}

#[test]
fn what_keeps_a_numbers_calls_away_is_told() {
    let elsewhere = "https://demo.twilio.com/welcome/voice/";
    check_wrong(
        |number| number.voice_url = Some(elsewhere.into()),
        &format!("its voice URL is {elsewhere}"),
    );
    check_wrong(|number| number.voice_url = None, "it has no voice URL");
    check_wrong(
        |number| number.voice_url = Some("https://voice.example.com/a/voice/sales".into()),
        "its voice URL names `sales`, which is no profile",
    );
    check_wrong(
        |number| number.voice_url = Some("https://voice.example.com/a/voice/default".into()),
        "its voice URL names the profile default, and [numbers] says desk",
    );
    check_wrong(
        |number| number.voice_application_sid = Some("AP1".into()),
        "the TwiML application AP1 takes its calls",
    );
    check_wrong(
        |number| number.trunk_sid = Some("TK1".into()),
        "the SIP trunk TK1 takes its calls",
    );
    check_wrong(
        |number| number.status_callback = None,
        "it has no status callback",
    );
    check_wrong(
        |number| number.status_callback = Some("https://voice.example.com/status".into()),
        "its status callback is https://voice.example.com/status",
    );
    check_wrong(
        |number| number.status_callback_method = Some("GET".into()),
        "its status callback is asked for by GET, not POST",
    );
}

#[test]
fn a_number_of_another_account_is_told_with_those_that_are_there() {
    assert_eq!(
        found(&config(&[("+15550001111", "desk")]), &[], &[number(NUMBER)]),
        [format!(
            "failed +15550001111 is not of this account; it has {NUMBER}: look at [numbers] and \
             TWILIO_ACCOUNT_SID"
        )]
    );
}

#[test]
fn without_a_word_about_numbers_one_of_the_account_has_to_lead_here() {
    let config = config(&[]);
    let mut away = number("+15550002222");
    away.voice_url = None;
    assert_eq!(found(&config, &[], &[]), ["skipped the account has none"]);
    assert_eq!(
        found(&config, &[], &[number(NUMBER), away.clone()]),
        [format!("ok {NUMBER} leads here")]
    );
    let only = found(&config, &[], std::slice::from_ref(&away));
    assert!(only[0].starts_with("failed +15550002222: it has no voice URL: `sidetone number"));
    let mut other = away.clone();
    other.phone_number = "+15550003333".into();
    let none = found(&config, &[], &[away, other]);
    assert!(
        none[0].starts_with("failed none of the account's leads here; it has +15550002222"),
        "{none:?}"
    );
}
