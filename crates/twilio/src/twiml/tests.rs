use proptest::prelude::*;

use super::*;

const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// Expects the verbs to be written as `xml`, and `xml` to be read as the verbs.
#[track_caller]
fn check(verbs: Vec<Verb>, xml: &str) {
    let response = Response { verbs };
    assert_eq!(
        response.to_xml(),
        format!("{DECLARATION}<Response>{xml}</Response>")
    );
    assert_eq!(Response::parse(&response.to_xml()), Ok(response));
}

/// Expects `xml` to be read as the verbs.
#[track_caller]
fn check_read(xml: &str, verbs: Vec<Verb>) {
    assert_eq!(Response::parse(xml), Ok(Response { verbs }));
}

/// Expects `xml` to be refused with Twilio's code and words that say where and why.
#[track_caller]
fn check_refused(xml: &str, code: u32, place: &str, reason: &str) {
    let error = Response::parse(xml).expect_err(xml);
    let words = error.to_string();
    assert!(
        words.starts_with(place) && words.contains(reason),
        "{words}"
    );
    assert_eq!(error.code(), code, "{words}");
}

#[test]
fn a_response_without_verbs_is_an_empty_element() {
    assert_eq!(
        Response::default().to_xml(),
        format!("{DECLARATION}<Response/>")
    );
    check_read("<Response/>", vec![]);
    check_read("<Response></Response>", vec![]);
}

#[test]
fn a_fork_of_a_dialled_call() {
    let stream = Stream {
        url: "wss://voice.example.com/twilio".into(),
        name: Some("fork1".into()),
        track: Some(StreamTrack::Both),
        status_callback: Some("https://voice.example.com/stream-status?a=1&b=2".into()),
        status_callback_method: Some(Method::Post),
        parameters: vec![Parameter::new("tenant", "t-42"), Parameter::new("auth", "")],
    };
    let dial = Dial {
        numbers: vec![Number::new("+14155550123")],
        caller_id: Some("+15005550006".into()),
        timeout_secs: Some(30),
        answer_on_bridge: Some(true),
        action: Some("https://voice.example.com/dial-done".into()),
        method: Some(Method::Post),
    };
    let say = Say {
        language: Some("en-US".into()),
        ..Say::new("This call may be recorded.")
    };
    check(
        vec![Verb::Start(stream), Verb::Say(say), Verb::Dial(dial)],
        concat!(
            r#"<Start><Stream url="wss://voice.example.com/twilio" name="fork1" track="both_tracks" "#,
            r#"statusCallback="https://voice.example.com/stream-status?a=1&amp;b=2" statusCallbackMethod="POST">"#,
            r#"<Parameter name="tenant" value="t-42"/><Parameter name="auth" value=""/></Stream></Start>"#,
            r#"<Say language="en-US">This call may be recorded.</Say>"#,
            r#"<Dial callerId="+15005550006" timeout="30" answerOnBridge="true" "#,
            r#"action="https://voice.example.com/dial-done" method="POST"><Number>+14155550123</Number></Dial>"#,
        ),
    );
}

#[test]
fn a_bidirectional_stream_and_what_comes_after() {
    let stream = Stream {
        url: "wss://voice.example.com/agent".into(),
        ..Stream::default()
    };
    let connect = Connect {
        stream,
        action: Some("/next".into()),
        method: Some(Method::Get),
    };
    check(
        vec![Verb::Connect(connect), Verb::Hangup],
        r#"<Connect action="/next" method="GET"><Stream url="wss://voice.example.com/agent"/></Connect><Hangup/>"#,
    );
}

#[test]
fn the_small_verbs() {
    let redirect = Redirect {
        url: "/a?b=1&c".into(),
        method: Some(Method::Post),
    };
    let play = Play {
        digits: Some("1w2#".into()),
        loop_count: Some(0),
        url: None,
    };
    let song = Play {
        url: Some("https://a.example/b.mp3".into()),
        ..Play::default()
    };
    check(
        vec![
            Verb::Stop {
                stream_name: "fork1".into(),
            },
            Verb::Pause {
                length_secs: Some(10),
            },
            Verb::Pause { length_secs: None },
            Verb::Play(play),
            Verb::Play(song),
            Verb::Redirect(redirect),
            Verb::Reject {
                reason: Some(RejectReason::Busy),
            },
            Verb::Reject { reason: None },
        ],
        concat!(
            r#"<Stop><Stream name="fork1"/></Stop><Pause length="10"/><Pause/>"#,
            r#"<Play digits="1w2#" loop="0"/><Play>https://a.example/b.mp3</Play>"#,
            r#"<Redirect method="POST">/a?b=1&amp;c</Redirect><Reject reason="busy"/><Reject/>"#,
        ),
    );
}

#[test]
fn keys_are_gathered_with_prompts() {
    let gather = Gather {
        prompts: vec![
            Verb::Say(Say::new("Press 1")),
            Verb::Pause { length_secs: None },
            Verb::Play(Play {
                url: Some("/or-2.wav".into()),
                ..Play::default()
            }),
        ],
        input: Some("dtmf speech".into()),
        action: Some("/pressed".into()),
        method: Some(Method::Get),
        timeout_secs: Some(7),
        digit_count: Some(1),
        finish_on_key: Some(String::new()),
        action_on_empty_result: Some(true),
    };
    check(
        vec![Verb::Gather(gather), Verb::Gather(Gather::default())],
        concat!(
            r#"<Gather input="dtmf speech" action="/pressed" method="GET" timeout="7""#,
            r#" numDigits="1" finishOnKey="" actionOnEmptyResult="true">"#,
            "<Say>Press 1</Say><Pause/><Play>/or-2.wav</Play></Gather><Gather/>",
        ),
    );
}

#[test]
fn a_number_with_everything() {
    let number = Number {
        number: "+15551230002".into(),
        send_digits: Some("ww12#".into()),
        url: Some("/whisper".into()),
        method: Some(Method::Get),
        status_callback: Some("/twilio/call-status".into()),
        status_callback_method: Some(Method::Post),
        status_callback_events: Some(vec![CallEvent::Ringing, CallEvent::Answered]),
    };
    let dial = Dial {
        numbers: vec![number],
        ..Dial::default()
    };
    check(
        vec![Verb::Dial(dial)],
        concat!(
            r#"<Dial><Number sendDigits="ww12#" url="/whisper" method="GET" statusCallback="/twilio/call-status" "#,
            r#"statusCallbackMethod="POST" statusCallbackEvent="ringing answered">+15551230002</Number></Dial>"#,
        ),
    );
}

#[test]
fn text_is_escaped_and_comes_back() {
    check(
        vec![Verb::Say(Say {
            voice: Some("\"'<&>".into()),
            ..Say::new("a\n<b> & \"c\" 'd'\té")
        })],
        r#"<Say voice="&quot;&apos;&lt;&amp;&gt;">a&#10;&lt;b&gt; &amp; &quot;c&quot; &apos;d&apos;&#9;é</Say>"#,
    );
}

#[test]
fn characters_that_xml_cannot_carry_are_left_out() {
    let response = Response {
        verbs: vec![Verb::Say(Say::new("a\0b\u{1b}c\u{fffe}d"))],
    };
    assert!(response.to_xml().contains("<Say>abcd</Say>"));
    check_read(&response.to_xml(), vec![Verb::Say(Say::new("abcd"))]);
}

#[test]
fn white_space_comments_and_instructions_around_verbs_do_not_matter() {
    let xml = "\u{feff}<?xml version='1.0'?>\n<!-- a -->\n<Response>\n  <?b c?><!-- <Hangup/> -->\n  \
               <Redirect>\n    /next\n  </Redirect >\n</Response>\n<!-- d -->\n";
    let redirect = Redirect {
        url: "/next".into(),
        method: None,
    };
    check_read(xml, vec![Verb::Redirect(redirect)]);
}

#[test]
fn entities_and_cdata_are_text() {
    check_read(
        "<Response><Say>&lt;a&#x3e; &#38; <![CDATA[<b> & &lt;]]></Say></Response>",
        vec![Verb::Say(Say::new("<a> & <b> & &lt;"))],
    );
}

#[test]
fn of_ssml_the_text_is_kept() {
    check_read(
        "<Response><Say>one <emphasis level='strong'>two <s>three</s></emphasis> four</Say></Response>",
        vec![Verb::Say(Say::new("one two three four"))],
    );
}

#[test]
fn a_dial_takes_a_bare_number_too() {
    let numbers = vec![Number::new("+15551230002")];
    let dial = Dial {
        numbers,
        ..Dial::default()
    };
    check_read(
        "<Response><Dial> +15551230002 </Dial></Response>",
        vec![Verb::Dial(dial)],
    );
}

#[test]
fn unknown_attributes_are_accepted() {
    check_read(
        "<Response xmlns='urn:x'><Say bargeIn='true'>a</Say><Hangup now='1'/></Response>",
        vec![Verb::Say(Say::new("a")), Verb::Hangup],
    );
}

#[test]
fn names_are_case_sensitive_and_unknown_ones_are_named() {
    check_refused(
        "<response/>",
        12200,
        "line 1, column 1",
        "<response> is not known in a document",
    );
    check_refused(
        "<Response>\n <say>a</say></Response>",
        12200,
        "line 2, column 2",
        "<say>",
    );
    check_refused(
        "<Response><Enqueue/></Response>",
        12200,
        "line 1, column 11",
        "<Enqueue>",
    );
    check_refused(
        "<Response><Gather><Hangup/></Gather></Response>",
        12200,
        "line 1, column 19",
        "<Hangup> is not known in <Gather>",
    );
    check_refused(
        "<Response><Start><Siprec/></Start></Response>",
        12200,
        "line 1",
        "<Siprec>",
    );
    check_refused(
        "<Response><Dial><Sip/></Dial></Response>",
        12200,
        "line 1",
        "<Sip> is not known in <Dial>",
    );
    let xml = "<Response><Connect><Stream url='wss://a'><Param/></Stream></Connect></Response>";
    check_refused(
        xml,
        12200,
        "line 1, column 42",
        "<Param> is not known in <Stream>",
    );
}

#[test]
fn a_verb_without_its_noun_is_refused() {
    for verb in ["Start", "Stop", "Connect"] {
        let xml = format!("<Response><{verb}>Stream</{verb}></Response>");
        check_refused(
            &xml,
            12200,
            "line 1, column 11",
            &format!("<{verb}> must hold one <Stream>"),
        );
    }
}

#[test]
fn wrong_and_missing_attributes_are_refused() {
    let within = |xml: &str| format!("<Response>{xml}</Response>");
    let refused = |xml: &str, reason: &str| check_refused(&within(xml), 12200, "line 1", reason);
    refused(
        "<Pause length='1.5'/>",
        "`length` of <Pause> is `1.5`, expected a whole number",
    );
    refused("<Pause length='-1'/>", "`-1`");
    refused("<Start><Stream/></Start>", "`url` of <Stream> is missing");
    refused("<Stop><Stream/></Stop>", "`name` of <Stream> is missing");
    refused(
        "<Start><Stream url='wss://a' track='both'/></Start>",
        "`track` of <Stream> is `both`",
    );
    refused("<Reject reason='no'/>", "`rejected` or `busy`");
    refused("<Redirect method='PUT'>/a</Redirect>", "`GET` or `POST`");
    refused("<Dial answerOnBridge='1'>+1</Dial>", "`true` or `false`");
    refused(
        "<Dial><Number statusCallbackEvent='ringing hung'>+1</Number></Dial>",
        "`completed`",
    );
    refused(
        "<Start><Stream url='wss://a'><Parameter name='a'/></Stream></Start>",
        "`value`",
    );
}

#[test]
fn a_parameter_of_500_characters_is_refused() {
    let xml = |chars: usize| {
        let parameters = vec![Parameter::new("n", "é".repeat(chars))];
        let stream = Stream {
            url: "wss://a".into(),
            parameters,
            ..Stream::default()
        };
        Response {
            verbs: vec![Verb::Start(stream)],
        }
        .to_xml()
    };
    Response::parse(&xml(498)).unwrap();
    check_refused(&xml(499), 12200, "line 1", "500 characters long");
}

#[test]
fn malformed_documents_are_refused_with_their_place() {
    let refused = |xml: &str, place: &str, reason: &str| check_refused(xml, 12100, place, reason);
    refused("", "line 1, column 1", "no element");
    refused("Hello", "line 1, column 1", "text outside");
    refused(
        "<Response>\n<Say>a</Play></Response>",
        "line 2, column 7",
        "Play",
    );
    refused("<Response>\n<Say>a", "line 2", "<Say> is not closed");
    refused(
        "<Response/>\n<Response/>",
        "line 2, column 1",
        "second element",
    );
    refused("<Response/>x", "line 1, column 12", "text outside");
    refused("<Response>a & b</Response>", "line 1", "");
    refused(
        "<Response><Say>&nbsp;</Say></Response>",
        "line 1, column 16",
        "nbsp",
    );
    refused(
        "<Response><Say>&#0;</Say></Response>",
        "line 1, column 16",
        "",
    );
    refused(
        "<Response><Say>&#1;</Say></Response>",
        "line 1, column 16",
        "'\\u{1}'",
    );
    refused(
        "<Response><Say voice='&#1;'/></Response>",
        "line 1, column 11",
        "'\\u{1}'",
    );
    refused(
        "<Response><Say>\u{1}</Say></Response>",
        "line 1, column 16",
        "'\\u{1}'",
    );
    refused(
        "<Response><Say voice=x/></Response>",
        "line 1, column 11",
        "",
    );
    refused(
        "<Response><Say voice='a' voice='b'/></Response>",
        "line 1, column 11",
        "",
    );
    refused(
        "<Response><Say voice='a/></Response>",
        "line 1, column 11",
        "",
    );
    refused("<Response><!-- </Response>", "line 1, column 11", "comment");
}

#[test]
fn document_types_are_refused_before_any_entity_could_expand() {
    let xml = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;&b;'>]>\n<Response><Say>&c;</Say></Response>";
    check_refused(xml, 12100, "line 1, column 1", "document type");
    check_refused(
        "<Response><Say>&c;</Say></Response>",
        12100,
        "line 1, column 16",
        "",
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let deep = format!("<Response><Say>{}", "<s>".repeat(20));
    check_refused(&deep, 12100, "line 1", "nested more than 16 deep");
    let long = format!(
        "<Response><Say>{}</Say></Response>",
        "a".repeat(Response::MAX_BYTES)
    );
    check_refused(&long, 11750, "the TwiML has", "65536");
    let wide = format!("<Response>{}</Response>", "<Hangup/>".repeat(7000));
    assert_eq!(Response::parse(&wide).unwrap().verbs.len(), 7000);
}

#[test]
fn parameters_do_not_reach_the_debug_text() {
    let text = format!("{:?}", Parameter::new("auth", "s3cret"));
    assert!(text.contains("auth") && !text.contains("s3cret"), "{text}");
}

/// Any text XML can carry in an attribute.
fn value() -> impl Strategy<Value = String> {
    let legal = |text: String| text.chars().filter(|c| element::is_xml_char(*c)).collect();
    any::<String>().prop_map(legal)
}

/// Any text of an element, around which white space does not count.
fn text() -> impl Strategy<Value = String> {
    value().prop_map(|text| text.trim().into())
}

fn method() -> impl Strategy<Value = Option<Method>> {
    prop::option::of(prop_oneof![Just(Method::Get), Just(Method::Post)])
}

fn stream() -> impl Strategy<Value = Stream> {
    let track = prop_oneof![
        Just(StreamTrack::Inbound),
        Just(StreamTrack::Outbound),
        Just(StreamTrack::Both),
    ];
    let parameters = prop::collection::vec(("[a-z]{1,9}", value()), 0..4);
    (
        value(),
        prop::option::of(value()),
        prop::option::of(track),
        method(),
        parameters,
    )
        .prop_map(
            |(url, name, track, status_callback_method, parameters)| Stream {
                url,
                status_callback: name.clone(),
                name,
                track,
                status_callback_method,
                parameters: parameters
                    .into_iter()
                    .map(|(n, v)| Parameter::new(n, v))
                    .collect(),
            },
        )
}

fn dial() -> impl Strategy<Value = Dial> {
    let events = prop::collection::vec(
        prop_oneof![Just(CallEvent::Initiated), Just(CallEvent::Completed)],
        0..3,
    );
    let number = (
        text(),
        prop::option::of(value()),
        method(),
        prop::option::of(events),
    )
        .prop_map(|(number, url, method, status_callback_events)| Number {
            number,
            url,
            method,
            status_callback_events,
            ..Number::default()
        });
    let numbers = prop::collection::vec(number, 0..3);
    (
        numbers,
        prop::option::of(value()),
        any::<Option<u32>>(),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(numbers, caller_id, timeout_secs, answer_on_bridge)| Dial {
                numbers,
                caller_id,
                timeout_secs,
                answer_on_bridge,
                ..Dial::default()
            },
        )
}

fn verb() -> impl Strategy<Value = Verb> {
    let say = (text(), prop::option::of(value()), any::<Option<u32>>());
    let play = (text(), prop::option::of(value()), any::<Option<u32>>());
    let some = |text: String| (!text.is_empty()).then_some(text);
    prop_oneof![
        stream().prop_map(Verb::Start),
        value().prop_map(|stream_name| Verb::Stop { stream_name }),
        (stream(), prop::option::of(value()), method()).prop_map(|(stream, action, method)| {
            Verb::Connect(Connect {
                stream,
                action,
                method,
            })
        }),
        say.prop_map(|(text, voice, loop_count)| {
            Verb::Say(Say {
                text,
                voice,
                language: None,
                loop_count,
            })
        }),
        play.prop_map(move |(url, digits, loop_count)| {
            Verb::Play(Play {
                url: some(url),
                digits,
                loop_count,
            })
        }),
        any::<Option<u32>>().prop_map(|length_secs| Verb::Pause { length_secs }),
        (text(), prop::option::of(value()), any::<Option<u32>>()).prop_map(
            |(prompt, finish_on_key, digit_count)| {
                Verb::Gather(Gather {
                    prompts: vec![Verb::Say(Say::new(prompt))],
                    finish_on_key,
                    digit_count,
                    ..Gather::default()
                })
            }
        ),
        dial().prop_map(Verb::Dial),
        (text(), method()).prop_map(|(url, method)| Verb::Redirect(Redirect { url, method })),
        Just(Verb::Reject {
            reason: Some(RejectReason::Rejected)
        }),
        Just(Verb::Hangup),
    ]
}

proptest! {
    #[test]
    fn a_document_comes_back_as_it_was_written(verbs in prop::collection::vec(verb(), 0..5)) {
        let response = Response { verbs };
        prop_assert_eq!(Response::parse(&response.to_xml()), Ok(response));
    }
}
