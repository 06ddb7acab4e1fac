use proptest::prelude::*;

use super::*;
use crate::CallSid;

const TOKEN: &str = "12345678901234567890123456789012";

/// The fields of a voice webhook.
const FORM: [(&str, &str); 9] = [
    ("AccountSid", "AC00000000000000000000000000000001"),
    ("ApiVersion", "2010-04-01"),
    ("CallSid", "CA00000000000000000000000000000002"),
    ("CallStatus", "ringing"),
    ("Called", "+15005550006"),
    ("Caller", "+14155550123"),
    ("Direction", "inbound"),
    ("From", "+14155550123"),
    ("To", "+15005550006"),
];

const NONE: [(&str, &str); 0] = [];

// Made with Twilio's own helper library, except the first, which is in its documentation.
const WSS: &str = "YuW7ZNDezumiKHOLO6sRVeUPptE=";
const WSS_SLASH: &str = "cjbp9sxD/WhFagqrbY3igZaLgSk=";
const WSS_ROOT: &str = "BtqXoUrTnZn4zo3I/O8KyfP3Q1A=";
const WSS_BARE: &str = "kzRsq2FsB5lLXe02SE4EKgTAuxk=";
const WSS_8443: &str = "E4JitbvYF0AXcu/v+tZeLdExnsA=";
const WSS_443: &str = "yON0z2i3jCrGCvl1T+IcD0ae4tQ=";
const HTTPS_STREAM: &str = "BmKS3EeQvm31feCOZB2mtu34qao=";
const FORM_PLAIN: &str = "IOG1Jp+1qL+jz1ywrWqw14rAfpg=";
const FORM_443: &str = "qy2VbRcs8eEFqJ0j+EmEsSTBLIM=";
const FORM_8443: &str = "ybNsmwR6nFoKDYPLHDe5Hu8OtFY=";

fn validator() -> Validator {
    Validator::new(&[TOKEN.into()])
}

#[track_caller]
fn check_sign(token: &str, url: &str, params: &[(&str, &str)], expected: &str) {
    assert_eq!(sign(token, url, params), expected);
    let backwards: Vec<_> = params.iter().rev().copied().collect();
    let accepted = Validator::new(&[token.into()]).check_form(url, &backwards, expected);
    assert_eq!(
        accepted,
        Ok(Accepted {
            url: url.into(),
            token_index: 0
        })
    );
}

#[test]
fn a_form_is_signed_as_in_twilios_documentation() {
    let params = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675310"),
        ("Digits", "1234"),
        ("From", "+14158675310"),
        ("To", "+18005551212"),
    ];
    let url = "https://example.com/myapp.php?foo=1&bar=2";
    check_sign("12345", url, &params, "L/OH5YylLD5NRKLltdqwSvS0BnU=");
}

#[test]
fn a_form_is_signed_over_url_and_sorted_fields() {
    check_sign(TOKEN, "https://voice.example.com/voice", &FORM, FORM_PLAIN);
    check_sign(
        TOKEN,
        "https://voice.example.com:443/voice",
        &FORM,
        FORM_443,
    );
    check_sign(
        TOKEN,
        "https://voice.example.com:8443/voice",
        &FORM,
        FORM_8443,
    );
}

#[test]
fn a_stream_callback_is_signed_like_any_form() {
    let params = [
        ("AccountSid", "AC00000000000000000000000000000001"),
        ("CallSid", "CA00000000000000000000000000000002"),
        ("StreamSid", "MZ00000000000000000000000000000003"),
        ("StreamName", "my_stream"),
        ("StreamEvent", "stream-started"),
        ("Timestamp", "2026-01-02T03:04:05.678901234Z"),
    ];
    let url = "https://voice.example.com/stream-status";
    check_sign(TOKEN, url, &params, "/RGUbuOIwXrVuQrOqAviSiY7piY=");
}

#[test]
fn empty_values_spaces_and_utf8_are_signed_as_they_are() {
    let params = [
        ("StreamEvent", "stream-error"),
        ("StreamError", ""),
        ("StreamName", "naïve name "),
        ("CallSid", "CA00000000000000000000000000000002"),
    ];
    let url = "https://voice.example.com/status";
    check_sign(TOKEN, url, &params, "xGwx0DmZNlfEcyMI/H1J977aeo4=");
}

#[test]
fn a_repeated_field_is_signed_once_per_value() {
    let params = [("A", "2"), ("A", "1"), ("A", "1"), ("a", "x")];
    check_sign(
        TOKEN,
        "https://voice.example.com/m",
        &params,
        "UyuNVFuNKAfhV8gT4gMfY6UTg3o=",
    );
}

#[test]
fn a_get_is_signed_over_its_url_with_the_query_as_encoded() {
    let url = "https://voice.example.com/voice?CallSid=CA00000000000000000000000000000002&CallStatus=ringing&From=%2B14155550123";
    let signature = "4Ck4/Rd5c+Su9t+9CGblVjaM+Ks=";
    assert_eq!(sign(TOKEN, url, &NONE), signature);
    validator().check_get(url, signature).unwrap();
    validator()
        .check_get(&url.replace("%2B", "+"), signature)
        .unwrap_err();
}

#[test]
fn a_json_body_is_signed_by_its_hash_in_the_url() {
    let body = r#"{"b":2,"a":"é"}"#.as_bytes();
    let url = url_with_body_hash("https://voice.example.com/events", body);
    assert_eq!(
        url,
        "https://voice.example.com/events?bodySHA256=fed41dc707052b02c4f8cbd205f90a4b16d099266a34e2a7f278b75e76b5e31d"
    );
    let signature = "aBlz9RYw2wa10PbSAyojSryx4B0=";
    assert_eq!(sign(TOKEN, &url, &NONE), signature);
    validator().check_body(&url, body, signature).unwrap();
    let other = validator().check_body(&url, br#"{"b":2}"#, signature);
    assert_eq!(other, Err(SignatureError::WrongBody));
}

#[test]
fn a_json_body_is_signed_as_in_twilios_documentation() {
    let body = br#"{"CallSid":"CA1234567890ABCDE","Caller":"+12349013030"}"#;
    let url = url_with_body_hash("https://example.com/myapp", body);
    let signature = "hPXmLwIy3Fgqv1i9KPmH/HhQ6zo=";
    assert_eq!(sign("12345", &url, &NONE), signature);
    Validator::new(&["12345".into()])
        .check_body(&url, body, signature)
        .unwrap();
}

#[test]
fn a_signed_url_without_a_body_hash_does_not_vouch_for_a_body() {
    let url = "https://voice.example.com/events?a=b";
    let accepted = validator().check_body(url, b"{}", &sign(TOKEN, url, &NONE));
    assert_eq!(accepted, Err(SignatureError::WrongBody));
}

#[test]
fn a_shared_key_signs_with_sha256() {
    let signature = sign_sha256("sharedkeysecret", "https://voice.example.com/voice", &FORM);
    assert_eq!(signature, "GdlKJtOILtZvIe5zBImNfihF7OE0h3DcYnsr5ya8eGs=");
}

#[test]
fn user_and_password_are_not_signed() {
    let url = "https://user:p%40ss@voice.example.com/voice";
    assert_eq!(sign(TOKEN, url, &FORM), FORM_PLAIN);
    validator().check_form(url, &FORM, FORM_PLAIN).unwrap();
}

/// Expects a form signed for `signed` to be accepted by a server that assumes `assumed`.
#[track_caller]
fn check_form(assumed: &str, signature: &str, signed: &str) {
    let accepted = validator().check_form(assumed, &FORM, signature);
    assert_eq!(
        accepted,
        Ok(Accepted {
            url: signed.into(),
            token_index: 0
        })
    );
}

#[test]
fn a_form_is_accepted_with_and_without_the_port() {
    let (plain, with_443, with_8443) = (
        "https://voice.example.com/voice",
        "https://voice.example.com:443/voice",
        "https://voice.example.com:8443/voice",
    );
    check_form(plain, FORM_443, with_443);
    check_form(with_443, FORM_PLAIN, plain);
    check_form(with_8443, FORM_PLAIN, plain);
    let port_80 = "http://voice.example.com:80/voice";
    check_form(
        "http://voice.example.com/voice",
        &sign(TOKEN, port_80, &FORM),
        port_80,
    );
    validator().check_form(plain, &FORM, FORM_8443).unwrap_err();
}

#[test]
fn a_form_is_refused_with_another_slash_field_or_value() {
    let url = "https://voice.example.com/voice";
    validator()
        .check_form(&format!("{url}/"), &FORM, FORM_PLAIN)
        .unwrap_err();
    validator()
        .check_form(url, &FORM[1..], FORM_PLAIN)
        .unwrap_err();
    let mut params = FORM;
    params[8].1 = "+15005550007";
    validator()
        .check_form(url, &params, FORM_PLAIN)
        .unwrap_err();
}

/// Expects a handshake signed for `signed` to be accepted by a server that assumes `assumed`.
#[track_caller]
fn check_handshake(assumed: &str, signature: &str, signed: &str) {
    assert_eq!(sign(TOKEN, signed, &NONE), signature);
    let accepted = validator().check_handshake(assumed, signature);
    assert_eq!(
        accepted,
        Ok(Accepted {
            url: signed.into(),
            token_index: 0
        })
    );
}

#[test]
fn a_handshake_is_accepted_with_and_without_port_and_slash() {
    let url = "wss://voice.example.com/twilio";
    check_handshake(url, WSS, url);
    check_handshake("https://voice.example.com/twilio", WSS, url);
    check_handshake("wss://voice.example.com/twilio/", WSS, url);
    check_handshake("wss://voice.example.com:443/twilio", WSS, url);
    check_handshake(url, WSS_SLASH, "wss://voice.example.com/twilio/");
    check_handshake(url, WSS_443, "wss://voice.example.com:443/twilio");
    let with_8443 = "wss://voice.example.com:8443/twilio";
    check_handshake(with_8443, WSS_8443, with_8443);
    check_handshake(with_8443, WSS, url);
    let both = "wss://voice.example.com:443/twilio/";
    check_handshake(url, &sign(TOKEN, both, &NONE), both);
}

#[test]
fn a_handshake_without_a_path_is_accepted_as_root_and_bare() {
    let (root, bare) = ("wss://voice.example.com/", "wss://voice.example.com");
    check_handshake(root, WSS_ROOT, root);
    check_handshake(root, WSS_BARE, bare);
    check_handshake(bare, WSS_ROOT, root);
    check_handshake(bare, WSS_BARE, bare);
}

#[test]
fn a_handshake_to_an_ipv6_address_keeps_its_colons() {
    let url = "ws://[::1]:5000/twilio";
    check_handshake("http://[::1]:5000/twilio", &sign(TOKEN, url, &NONE), url);
    let bare = "ws://[::1]/twilio";
    check_handshake("http://[::1]/twilio", &sign(TOKEN, bare, &NONE), bare);
}

#[test]
fn a_refusal_names_the_url_that_would_have_matched() {
    let mismatch = |assumed: &str, would_match: Option<&str>| {
        Err(SignatureError::Mismatch {
            assumed_url: assumed.into(),
            would_match: would_match.map(Into::into),
        })
    };
    assert_eq!(
        validator().check_handshake("wss://voice.example.com/twilio", HTTPS_STREAM),
        mismatch(
            "wss://voice.example.com/twilio",
            Some("https://voice.example.com/twilio")
        ),
    );
    assert_eq!(
        validator().check_handshake("http://voice.example.com/twilio", WSS),
        mismatch(
            "ws://voice.example.com/twilio",
            Some("wss://voice.example.com/twilio")
        ),
    );
    assert_eq!(
        validator().check_form("http://voice.example.com/voice", &FORM, FORM_PLAIN),
        mismatch(
            "http://voice.example.com/voice",
            Some("https://voice.example.com/voice")
        ),
    );
    assert_eq!(
        validator().check_form("https://voice.example.com/voice/", &FORM, FORM_PLAIN),
        mismatch(
            "https://voice.example.com/voice/",
            Some("https://voice.example.com/voice")
        ),
    );
    assert_eq!(
        validator().check_form("https://other.example.com/voice", &FORM, FORM_PLAIN),
        mismatch("https://other.example.com/voice", None),
    );
}

#[test]
fn every_token_of_a_rotation_is_accepted() {
    let validator = Validator::new(&["new token".into(), TOKEN.into()]);
    let accepted = validator.check_handshake("wss://voice.example.com/twilio", WSS);
    assert_eq!(accepted.unwrap().token_index, 1);
    let other = Validator::new(&["new token".into()]);
    other
        .check_handshake("wss://voice.example.com/twilio", WSS)
        .unwrap_err();
}

#[test]
fn what_is_no_signature_at_all_is_told_apart() {
    for signature in [
        "",
        "?",
        "YuW7ZNDezumiKHOLO6sRVeUPptE",
        "YuW7ZNDezumiKHOLO6sRVeUPpg==",
    ] {
        let refused = validator().check_get("https://voice.example.com/", signature);
        assert_eq!(refused, Err(SignatureError::Malformed), "{signature}");
    }
}

#[test]
fn tokens_do_not_reach_the_debug_text() {
    assert_eq!(format!("{:?}", validator()), "Validator(1 tokens)");
}

const SECRET: &[u8] = b"a secret of this node";
const NOW: u64 = 1_767_322_800;

fn call_sid() -> CallSid {
    "CA00000000000000000000000000000002".parse().unwrap()
}

#[test]
fn stream_auth_holds_for_its_call_until_it_is_too_old() {
    let auth = stream_auth(SECRET, &call_sid(), NOW);
    let verify = |now| verify_stream_auth(SECRET, &call_sid(), &auth, now, 600);
    assert_eq!(verify(NOW), Ok(()));
    assert_eq!(verify(NOW + 600), Ok(()));
    let expired = StreamAuthError::Expired {
        off_secs: 601,
        max_age_secs: 600,
    };
    assert_eq!(verify(NOW + 601), Err(expired));
    assert_eq!(verify(NOW - 601), Err(expired));
}

#[test]
fn stream_auth_is_refused_for_another_call_secret_or_time() {
    let auth = stream_auth(SECRET, &call_sid(), NOW);
    let verify = |secret: &[u8], call_sid: &CallSid, auth: &str| {
        verify_stream_auth(secret, call_sid, auth, NOW, 600)
    };
    let other_call = "CA00000000000000000000000000000009".parse().unwrap();
    assert_eq!(
        verify(SECRET, &other_call, &auth),
        Err(StreamAuthError::Mismatch)
    );
    assert_eq!(
        verify(b"other", &call_sid(), &auth),
        Err(StreamAuthError::Mismatch)
    );
    let later = auth.replace(&NOW.to_string(), &(NOW + 1).to_string());
    assert_eq!(
        verify(SECRET, &call_sid(), &later),
        Err(StreamAuthError::Mismatch)
    );
    for auth in ["", ".", "x.y", "12", &auth[1..]] {
        assert!(verify(SECRET, &call_sid(), auth).is_err(), "{auth}");
    }
    assert_eq!(
        verify(SECRET, &call_sid(), "now.AAAA"),
        Err(StreamAuthError::Malformed)
    );
    assert_eq!(
        verify(SECRET, &call_sid(), "12.?"),
        Err(StreamAuthError::Malformed)
    );
}

#[test]
fn stream_auth_fits_a_url_and_a_parameter() {
    let auth = stream_auth(SECRET, &call_sid(), NOW);
    assert!(
        auth.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    );
    assert!(auth.len() < 100);
}

/// Fields, and the same in another order.
fn shuffled() -> impl Strategy<Value = [Vec<(String, String)>; 2]> {
    let fields = prop::collection::vec(any::<(String, String)>(), 0..8);
    fields.prop_flat_map(|fields| {
        [
            Just(fields.clone()).boxed(),
            Just(fields).prop_shuffle().boxed(),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_in_any_order_of_fields(
        path in "[ -~]{0,20}", [fields, shuffled] in shuffled(),
    ) {
        let url = format!("https://voice.example.com/{path}");
        let accepted = validator().check_form(&url, &shuffled, &sign(TOKEN, &url, &fields));
        prop_assert_eq!(accepted, Ok(Accepted { url, token_index: 0 }));
    }
}
