use std::collections::BTreeMap;

use serde_json::json;
use sidetone_deepgram::agent::message::Role;

use super::*;

const CALL_SID: &str = "CA0123456789abcdef0123456789abcdef";

fn call() -> Call {
    Call {
        stream_sid: Some("MZ0123456789abcdef0123456789abcdef".parse().unwrap()),
        account_sid: Some("AC0123456789abcdef0123456789abcdef".parse().unwrap()),
        direction: Some("inbound".into()),
        from: Some("+15551230001".into()),
        to: Some("+15551230002".into()),
        custom_parameters: BTreeMap::from([("tenant".into(), "t-42-secret".into())]),
        tracks: vec![Track::Inbound, Track::Outbound],
        started_at: Some("2026-11-21T09:00:00.123456Z".parse().unwrap()),
        duration_ms: 1_980,
        last_seq: 1,
        provider: Provider {
            state: ProviderState::Connected,
            request_id: Some("req-1".into()),
            reconnects: 0,
            replayed_ms: 0,
            behind_ms: 60,
        },
        audio: AudioCounts {
            inbound: TrackCounts {
                frames: 99,
                gap_ms: 0,
            },
            outbound: TrackCounts {
                frames: 95,
                gap_ms: 80,
            },
        },
        last_text: Some("tell me a secret".into()),
        ..crate::tests::call()
    }
}

fn transcript() -> Transcript {
    Transcript {
        track: Track::Inbound,
        channel: 0,
        start_ms: 100,
        end_ms: 1_980,
        text: "A secret.".into(),
        confidence: 0.75,
        speech_final: true,
        latency_ms: Some(310),
        words: vec![
            Word {
                word: "a".into(),
                text: "A".into(),
                start_ms: 100,
                end_ms: 240,
                confidence: 0.5,
                speaker: None,
            },
            Word {
                word: "secret".into(),
                text: "secret.".into(),
                start_ms: 240,
                end_ms: 900,
                confidence: 1.0,
                speaker: Some(1),
            },
        ],
    }
}

fn progress() -> CallProgress {
    CallProgress {
        status: "ringing".into(),
        sip_code: None,
    }
}

fn mark() -> SpeechMark {
    SpeechMark {
        track: Track::Outbound,
        at_ms: 40,
    }
}

fn speak() -> Speak {
    Speak {
        speak_id: "speak-1".into(),
        text: "Hello there.".into(),
        heard_ms: 400,
        heard_text: "Hello".into(),
        first_audio_ms: Some(310),
        reason: None,
    }
}

fn started_speaking() -> AgentStartedSpeaking {
    AgentStartedSpeaking {
        turn: 3,
        total_latency_ms: Some(900),
        tts_latency_ms: None,
        ttt_latency_ms: Some(500),
        latency_ms: Some(640),
    }
}

fn interrupted() -> AgentInterrupted {
    AgentInterrupted {
        turn: 3,
        heard_text: "A secret".into(),
        heard_ms: 900,
        discarded_ms: 1_100,
    }
}

fn function_called() -> AgentFunctionCalled {
    AgentFunctionCalled {
        id: "func_1".into(),
        name: "lookup".into(),
        arguments: json!({ "of": "secret" }),
        result: Some("the secret".into()),
        at_ms: 4_000,
        duration_ms: 700,
        outcome: FunctionEnd::Ok,
    }
}

fn turn() -> AgentTurn {
    AgentTurn {
        turn: 3,
        role: Role::Assistant,
        text: "A secret is safe.".into(),
        at_ms: 2_000,
        heard: Some(TurnHeard {
            heard_text: "A secret".into(),
            heard_ms: 900,
            interrupted: true,
        }),
    }
}

fn every_event() -> Vec<EventData> {
    vec![
        EventData::AgentReady(AgentReady {
            request_id: Some("req-1".into()),
        }),
        EventData::AgentUserStartedSpeaking(AgentUserStartedSpeaking { at_ms: 40 }),
        EventData::AgentThinking(AgentThinking {}),
        EventData::AgentStartedSpeaking(started_speaking()),
        EventData::AgentAudioDone(AgentAudioDone { turn: 3 }),
        EventData::AgentInterrupted(interrupted()),
        EventData::AgentFunctionCalled(Box::new(function_called())),
        EventData::AgentTurn(turn()),
        EventData::CallStarted(Box::new(call())),
        EventData::CallResumed(Box::new(call())),
        EventData::CallRinging(progress()),
        EventData::CallAnswered(progress()),
        EventData::CallStatus(progress()),
        EventData::TranscriptFinal(Box::new(transcript())),
        EventData::SpeechStarted(mark()),
        EventData::UtteranceEnded(mark()),
        EventData::Dtmf(Dtmf {
            track: Track::Inbound,
            digit: '7',
        }),
        EventData::SpeakStarted(speak()),
        EventData::SpeakFinished(speak()),
        EventData::SpeakInterrupted(speak()),
        EventData::SpeakFailed(speak()),
        EventData::ProviderDisconnected(ProviderDisconnected {
            service: Service::Listen,
            reason: "reset".into(),
            attempt: 1,
            request_id: None,
        }),
        EventData::ProviderReconnected(ProviderReconnected {
            service: Service::Listen,
            replayed_ms: 4_200,
            outage_ms: 900,
        }),
        EventData::AudioGap(AudioGap {
            track: Track::Inbound,
            at_ms: 0,
            duration_ms: 12_000,
            reason: AudioGapReason::Carrier,
        }),
        EventData::Warning(Warning {
            code: "provider_failed",
            detail: "no credit".into(),
        }),
        EventData::CallEnded(Box::new(call())),
    ]
}

#[track_caller]
fn check_data(data: EventData, expect: &str) {
    let event = Event {
        seq: 17,
        call_sid: CALL_SID.parse().unwrap(),
        at: "2026-11-21T09:00:01Z".parse().unwrap(),
        data,
    };
    let head =
        format!(r#"{{"seq":17,"call_sid":"{CALL_SID}","at":"2026-11-21T09:00:01.000Z","type":"#);
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        format!("{head}{expect}}}")
    );
}

const CALL_JSON: &str = concat!(
    r#"{"call_sid":"CA0123456789abcdef0123456789abcdef","#,
    r#""stream_sid":"MZ0123456789abcdef0123456789abcdef","#,
    r#""account_sid":"AC0123456789abcdef0123456789abcdef","profile":"default","#,
    r#""direction":"inbound","from":"+15551230001","to":"+15551230002","#,
    r#""custom_parameters":{"tenant":"t-42-secret"},"tracks":["inbound","outbound"],"#,
    r#""status":"live","started_at":"2026-11-21T09:00:00.123Z","ended_at":null,"#,
    r#""end_reason":null,"duration_ms":1980,"last_seq":1,"#,
    r#""provider":{"state":"connected","request_id":"req-1","reconnects":0,"#,
    r#""replayed_ms":0,"behind_ms":60},"#,
    r#""audio":{"inbound":{"frames":99,"gap_ms":0},"outbound":{"frames":95,"gap_ms":80}},"#,
    r#""last_text":"tell me a secret"}"#,
);

#[test]
fn a_call_shows_unknown_values_as_null() {
    assert_eq!(serde_json::to_string(&call()).unwrap(), CALL_JSON);
    let nobody = Call {
        from: None,
        stream_sid: None,
        ..call()
    };
    let json = serde_json::to_string(&nobody).unwrap();
    assert!(
        json.contains(r#""from":null"#) && json.contains(r#""stream_sid":null"#),
        "{json}"
    );
}

#[test]
fn a_call_survives_its_json() {
    let read: Call = serde_json::from_str(CALL_JSON).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), CALL_JSON);
}

#[test]
fn a_track_that_does_not_exist_is_refused() {
    let json = CALL_JSON.replace(r#"["inbound","#, r#"["sideways","#);
    let error = serde_json::from_str::<Call>(&json).unwrap_err().to_string();
    assert!(error.contains("sideways"), "{error}");
}

#[test]
fn a_started_call_carries_the_call() {
    check_data(
        EventData::CallStarted(Box::new(call())),
        &format!(r#""call.started","data":{CALL_JSON}"#),
    );
}

#[test]
fn progress_carries_twilios_word_and_the_sip_code() {
    check_data(
        EventData::CallRinging(progress()),
        r#""call.ringing","data":{"status":"ringing","sip_code":null}"#,
    );
    check_data(
        EventData::CallStatus(CallProgress {
            status: "busy".into(),
            sip_code: Some(486),
        }),
        r#""call.status","data":{"status":"busy","sip_code":486}"#,
    );
}

#[test]
fn a_final_carries_its_words() {
    check_data(
        EventData::TranscriptFinal(Box::new(transcript())),
        concat!(
            r#""transcript.final","data":{"track":"inbound","channel":0,"start_ms":100,"#,
            r#""end_ms":1980,"text":"A secret.","confidence":0.75,"speech_final":true,"#,
            r#""latency_ms":310,"words":["#,
            r#"{"word":"a","text":"A","start_ms":100,"end_ms":240,"confidence":0.5,"#,
            r#""speaker":null},"#,
            r#"{"word":"secret","text":"secret.","start_ms":240,"end_ms":900,"#,
            r#""confidence":1.0,"speaker":1}]}"#,
        ),
    );
}

#[test]
fn speech_marks_and_keys_name_their_track() {
    check_data(
        EventData::SpeechStarted(mark()),
        r#""speech.started","data":{"track":"outbound","at_ms":40}"#,
    );
    check_data(
        EventData::UtteranceEnded(mark()),
        r#""utterance.ended","data":{"track":"outbound","at_ms":40}"#,
    );
    check_data(
        EventData::Dtmf(Dtmf {
            track: Track::Inbound,
            digit: '#',
        }),
        r##""dtmf","data":{"track":"inbound","digit":"#"}"##,
    );
    check_data(
        EventData::SpeakInterrupted(speak()),
        r#""speak.interrupted","data":{"speak_id":"speak-1","text":"Hello there.","heard_ms":400,"heard_text":"Hello","first_audio_ms":310,"reason":null}"#,
    );
}

#[test]
fn provider_events_carry_what_the_outage_cost() {
    check_data(
        EventData::ProviderDisconnected(ProviderDisconnected {
            service: Service::Listen,
            reason: "connection reset".into(),
            attempt: 2,
            request_id: Some("req-1".into()),
        }),
        concat!(
            r#""provider.disconnected","data":{"service":"listen","#,
            r#""reason":"connection reset","attempt":2,"request_id":"req-1"}"#
        ),
    );
    check_data(
        EventData::ProviderReconnected(ProviderReconnected {
            service: Service::Listen,
            replayed_ms: 4_200,
            outage_ms: 900,
        }),
        r#""provider.reconnected","data":{"service":"listen","replayed_ms":4200,"outage_ms":900}"#,
    );
}

#[test]
fn what_an_agent_does_carries_what_was_heard_of_it() {
    check_data(
        EventData::AgentReady(AgentReady { request_id: None }),
        r#""agent.ready","data":{"request_id":null}"#,
    );
    check_data(
        EventData::AgentUserStartedSpeaking(AgentUserStartedSpeaking { at_ms: 40 }),
        r#""agent.user_started_speaking","data":{"at_ms":40}"#,
    );
    check_data(
        EventData::AgentThinking(AgentThinking {}),
        r#""agent.thinking","data":{}"#,
    );
    check_data(
        EventData::AgentStartedSpeaking(started_speaking()),
        concat!(
            r#""agent.started_speaking","data":{"turn":3,"total_latency_ms":900,"#,
            r#""tts_latency_ms":null,"ttt_latency_ms":500,"latency_ms":640}"#,
        ),
    );
    check_data(
        EventData::AgentAudioDone(AgentAudioDone { turn: 3 }),
        r#""agent.audio_done","data":{"turn":3}"#,
    );
    check_data(
        EventData::AgentInterrupted(interrupted()),
        concat!(
            r#""agent.interrupted","data":{"turn":3,"heard_text":"A secret","#,
            r#""heard_ms":900,"discarded_ms":1100}"#,
        ),
    );
}

#[test]
fn only_a_turn_of_the_agent_tells_what_was_heard() {
    check_data(
        EventData::AgentTurn(turn()),
        concat!(
            r#""agent.turn","data":{"turn":3,"role":"assistant","text":"A secret is safe.","#,
            r#""at_ms":2000,"heard_text":"A secret","heard_ms":900,"interrupted":true}"#,
        ),
    );
    let of_caller = AgentTurn {
        role: Role::User,
        heard: None,
        ..turn()
    };
    check_data(
        EventData::AgentTurn(of_caller),
        concat!(
            r#""agent.turn","data":{"turn":3,"role":"user","text":"A secret is safe.","#,
            r#""at_ms":2000}"#,
        ),
    );
}

#[test]
fn a_function_carries_its_arguments_as_json_and_what_was_told_of_it() {
    check_data(
        EventData::AgentFunctionCalled(Box::new(function_called())),
        concat!(
            r#""agent.function_called","data":{"id":"func_1","name":"lookup","#,
            r#""arguments":{"of":"secret"},"result":"the secret","at_ms":4000,"#,
            r#""duration_ms":700,"outcome":"ok"}"#,
        ),
    );
    let cancelled = AgentFunctionCalled {
        arguments: json!("{of"),
        result: None,
        outcome: FunctionEnd::Cancelled,
        ..function_called()
    };
    check_data(
        EventData::AgentFunctionCalled(Box::new(cancelled)),
        concat!(
            r#""agent.function_called","data":{"id":"func_1","name":"lookup","#,
            r#""arguments":"{of","result":null,"at_ms":4000,"#,
            r#""duration_ms":700,"outcome":"cancelled"}"#,
        ),
    );
}

#[test]
fn gaps_say_whose_doing_they_are() {
    for (reason, name) in [
        (AudioGapReason::Carrier, "carrier"),
        (AudioGapReason::Clock, "clock"),
        (AudioGapReason::Provider, "provider"),
    ] {
        let gap = AudioGap {
            track: Track::Outbound,
            at_ms: 5,
            duration_ms: 12_000,
            reason,
        };
        check_data(
            EventData::AudioGap(gap),
            &format!(
                r#""audio.gap","data":{{"track":"outbound","at_ms":5,"duration_ms":12000,"reason":"{name}"}}"#
            ),
        );
    }
}

#[test]
fn warnings_have_a_code_for_programs() {
    check_data(
        EventData::Warning(Warning {
            code: "provider_failed",
            detail: "no credit".into(),
        }),
        r#""warning","data":{"code":"provider_failed","detail":"no credit"}"#,
    );
}

#[test]
fn every_type_name_is_the_one_on_the_wire() {
    for data in every_event() {
        let json = serde_json::to_value(&data).unwrap();
        assert_eq!(json["type"], data.type_name());
    }
}

#[test]
fn end_reasons_and_states_have_their_wire_names() {
    let names = |value: serde_json::Result<String>| value.unwrap().replace('"', "");
    assert_eq!(
        names(serde_json::to_string(&EndReason::NoAnswer)),
        "no_answer"
    );
    assert_eq!(
        names(serde_json::to_string(&EndReason::IdleTimeout)),
        "idle_timeout"
    );
    assert_eq!(
        names(serde_json::to_string(&ProviderState::Reconnecting)),
        "reconnecting"
    );
    assert_eq!(names(serde_json::to_string(&Status::Pending)), "pending");
}

#[test]
fn what_people_say_and_their_numbers_do_not_reach_debug() {
    for data in every_event() {
        let event = Event {
            seq: 1,
            call_sid: CALL_SID.parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            data,
        };
        let debug = format!("{event:#?}");
        for private in ["secret", "+1555", "'7'"] {
            assert!(!debug.contains(private), "{private} in {debug}");
        }
    }
    assert!(!format!("{:?}", transcript().words).contains("secret"));
}
