//! What Twilio is told to do with a call: TwiML for a profile.

use sidetone_twilio::twiml::{
    self, Connect, Method, Number, Parameter, Play, Response, Say, Stream, StreamTrack, Verb,
};

use crate::config::{Announce, Dial, Fallback, Overflow, Profile};

/// A call without anything else to do is kept open for so long.
const OPEN_LINE_SECS: u32 = 60 * 60;

/// What `<Stop>` and the callbacks call our stream.
pub(super) const STREAM_NAME: &str = "sidetone";

/// Where the stream of a call goes, and what it carries.
pub(super) struct StreamTarget {
    /// Its WebSocket.
    pub(super) url: String,
    /// Who is told of its start and its end.
    pub(super) status_callback: String,
    /// Who is asked what comes after it, when it is bidirectional.
    pub(super) action: String,
    /// What its `start` carries; what is too long for Twilio is left out.
    pub(super) parameters: Vec<(String, String)>,
}

/// The answer for a call that has a place.
pub(super) fn answer(profile: &Profile, target: StreamTarget) -> Response {
    let announce = profile.announce.as_ref().map(announcement);
    let verbs = if profile.bidirectional {
        announce.into_iter().chain([connect(target)]).collect()
    } else {
        // Twilio hangs up when nothing follows `<Start>`.
        [Verb::Start(stream(target, Some(StreamTrack::Both)))]
            .into_iter()
            .chain(announce)
            .chain(meanwhile(profile.dial.as_ref()))
            .collect()
    };
    Response { verbs }
}

/// The answer for a call that has no place: the profile's own, else the call goes on unheard.
pub(super) fn overflow(profile: &Profile) -> Response {
    let verbs = match &profile.overflow {
        Some(Overflow::Say(text)) => vec![Verb::Say(Say::new(text))],
        Some(Overflow::Number(number)) => vec![dial(number)],
        None => {
            // Whom nobody answers is not kept on an open line.
            let then = if profile.bidirectional {
                vec![Verb::Hangup]
            } else {
                meanwhile(profile.dial.as_ref())
            };
            profile
                .announce
                .iter()
                .map(announcement)
                .chain(then)
                .collect()
        }
    };
    Response { verbs }
}

/// The answer that ends the call.
pub(super) fn hang_up() -> Response {
    Response {
        verbs: vec![Verb::Hangup],
    }
}

/// Connects the call with a number.
pub(super) fn dial_only(number: &str) -> Response {
    Response {
        verbs: vec![dial(number)],
    }
}

/// What comes when the profile's agent is lost for good: its sentence, then a person or the end.
pub(super) fn fall_back(profile: &Profile) -> Response {
    let fallback = profile.agent.as_ref().map(|agent| &agent.fallback);
    let sentence = fallback.and_then(Fallback::sentence);
    let number = fallback.and_then(|fallback| fallback.number.as_deref());
    let then = number.map_or(Verb::Hangup, dial);
    Response {
        verbs: sentence
            .map(|text| Verb::Say(Say::new(text)))
            .into_iter()
            .chain([then])
            .collect(),
    }
}

/// Opens a bidirectional stream.
pub(super) fn connect_only(target: StreamTarget) -> Response {
    Response {
        verbs: vec![connect(target)],
    }
}

/// Presses keys, then opens a bidirectional stream.
pub(super) fn press_then_connect(digits: &str, target: StreamTarget) -> Response {
    Response {
        verbs: vec![press(digits), connect(target)],
    }
}

/// Presses keys, then keeps the line open as long as the profile says.
pub(super) fn press_then_wait(digits: &str, profile: Option<&Profile>) -> Response {
    let length_secs = match profile.and_then(|profile| profile.dial.as_ref()) {
        Some(Dial::PauseSecs(secs)) => *secs,
        Some(Dial::Number(_) | Dial::Say(_)) | None => OPEN_LINE_SECS,
    };
    let wait = Verb::Pause {
        length_secs: Some(length_secs),
    };
    Response {
        verbs: vec![press(digits), wait],
    }
}

fn connect(target: StreamTarget) -> Verb {
    let action = Some(target.action.clone());
    Verb::Connect(Connect {
        stream: stream(target, None),
        action,
        method: Some(Method::Post),
    })
}

fn press(digits: &str) -> Verb {
    Verb::Play(Play {
        digits: Some(digits.to_owned()),
        ..Play::default()
    })
}

fn stream(target: StreamTarget, track: Option<StreamTrack>) -> Stream {
    let fits = |name: &str, value: &str| {
        name.chars().count() + value.chars().count() <= Parameter::MAX_CHARS
    };
    Stream {
        url: target.url,
        name: Some(STREAM_NAME.to_owned()),
        track,
        status_callback: Some(target.status_callback),
        status_callback_method: Some(Method::Post),
        parameters: target
            .parameters
            .into_iter()
            .filter(|(name, value)| fits(name, value))
            .map(|(name, value)| Parameter::new(name, value))
            .collect(),
    }
}

fn announcement(announce: &Announce) -> Verb {
    Verb::Say(Say {
        voice: announce.voice.clone(),
        language: announce.language.clone(),
        ..Say::new(&announce.text)
    })
}

/// What the caller gets while the call is heard.
fn meanwhile(what: Option<&Dial>) -> Vec<Verb> {
    let open_line = Verb::Pause {
        length_secs: Some(OPEN_LINE_SECS),
    };
    match what {
        Some(Dial::Number(number)) => vec![dial(number)],
        Some(Dial::Say(text)) => vec![Verb::Say(Say::new(text)), open_line],
        Some(Dial::PauseSecs(secs)) => vec![Verb::Pause {
            length_secs: Some(*secs),
        }],
        None => vec![open_line],
    }
}

fn dial(number: &str) -> Verb {
    Verb::Dial(twiml::Dial {
        numbers: vec![Number::new(number)],
        ..twiml::Dial::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> StreamTarget {
        StreamTarget {
            url: "wss://voice.example.com/twilio".to_owned(),
            status_callback: "https://voice.example.com/twilio/stream-status".to_owned(),
            action: "https://voice.example.com/voice/x/next".to_owned(),
            parameters: vec![
                ("profile".to_owned(), "x".to_owned()),
                ("from".to_owned(), "+15550001".to_owned()),
            ],
        }
    }

    fn announce() -> Option<Announce> {
        let text = "Calls & chats may be recorded.".to_owned();
        Some(Announce {
            text,
            voice: None,
            language: Some("en-GB".to_owned()),
        })
    }

    const START: &str = concat!(
        r#"<Start><Stream url="wss://voice.example.com/twilio" name="sidetone" "#,
        r#"track="both_tracks" statusCallback="https://voice.example.com/twilio/stream-status" "#,
        r#"statusCallbackMethod="POST"><Parameter name="profile" value="x"/>"#,
        r#"<Parameter name="from" value="+15550001"/></Stream></Start>"#,
    );
    const SAY: &str = r#"<Say language="en-GB">Calls &amp; chats may be recorded.</Say>"#;

    #[track_caller]
    fn check(found: &Response, expected: &str) {
        let xml = found.to_xml();
        let (declaration, document) = xml.split_at(xml.find("<Response").unwrap());
        assert_eq!(
            declaration.trim_end(),
            r#"<?xml version="1.0" encoding="UTF-8"?>"#
        );
        assert_eq!(document, expected);
    }

    #[test]
    fn a_listening_profile_keeps_the_line_open_for_an_hour() {
        check(
            &answer(&Profile::default(), target()),
            &format!(r#"<Response>{START}<Pause length="3600"/></Response>"#),
        );
    }

    #[test]
    fn a_listening_profile_announces_then_dials() {
        for (dial, expected) in [
            (
                Dial::Number("+15550002".to_owned()),
                "<Dial><Number>+15550002</Number></Dial>",
            ),
            (
                Dial::Say("One moment.".to_owned()),
                r#"<Say>One moment.</Say><Pause length="3600"/>"#,
            ),
            (Dial::PauseSecs(90), r#"<Pause length="90"/>"#),
        ] {
            let profile = Profile {
                announce: announce(),
                dial: Some(dial),
                ..Profile::default()
            };
            let expected = format!("<Response>{START}{SAY}{expected}</Response>");
            check(&answer(&profile, target()), &expected);
        }
    }

    #[test]
    fn a_bidirectional_profile_announces_then_connects() {
        let profile = Profile {
            announce: announce(),
            bidirectional: true,
            ..Profile::default()
        };
        let stream = START.replace(r#"track="both_tracks" "#, "");
        let stream = stream
            .trim_start_matches("<Start>")
            .trim_end_matches("</Start>");
        check(
            &answer(&profile, target()),
            &format!(
                r#"<Response>{SAY}<Connect action="https://voice.example.com/voice/x/next" method="POST">{stream}</Connect></Response>"#
            ),
        );
    }

    #[test]
    fn a_call_without_a_place_gets_the_overflow() {
        for (overflow_of, expected) in [
            (
                Some(Overflow::Say("All lines are busy.".to_owned())),
                "<Response><Say>All lines are busy.</Say></Response>".to_owned(),
            ),
            (
                Some(Overflow::Number("+15550003".to_owned())),
                "<Response><Dial><Number>+15550003</Number></Dial></Response>".to_owned(),
            ),
            (
                None,
                format!("<Response>{SAY}<Dial><Number>+15550002</Number></Dial></Response>"),
            ),
        ] {
            let profile = Profile {
                announce: announce(),
                dial: Some(Dial::Number("+15550002".to_owned())),
                overflow: overflow_of,
                ..Profile::default()
            };
            check(&overflow(&profile), &expected);
        }
    }

    #[test]
    fn a_parameter_too_long_for_twilio_is_left_out() {
        let mut target = target();
        target.parameters = vec![("from".to_owned(), "x".repeat(Parameter::MAX_CHARS - 3))];
        let xml = answer(&Profile::default(), target).to_xml();
        assert!(!xml.contains("<Parameter"), "{xml}");
    }
}
