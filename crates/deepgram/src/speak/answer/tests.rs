use proptest::prelude::*;
use sidetone_audio::wav;

use super::*;

const SPEECH: [u8; 9] = [0xFF, 0x7F, 0xFE, 0x52, 0x49, 0x46, 0x46, 0x10, 0x90];

fn answer() -> Answer {
    Answer::read(|_| None).unwrap()
}

/// The codes of a body that comes in chunks of `size`.
fn heard(body: &[u8], size: usize) -> Result<Vec<u8>, NotTelephoneAudio> {
    let mut answer = answer();
    let mut codes = Vec::new();
    for chunk in body.chunks(size) {
        codes.extend(answer.codes(Bytes::copy_from_slice(chunk))?);
    }
    Ok(codes)
}

#[track_caller]
fn check(body: &[u8], expected: &[u8]) {
    for size in 1..=body.len() {
        assert_eq!(
            heard(body, size).as_deref(),
            Ok(expected),
            "chunks of {size}"
        );
    }
}

#[track_caller]
fn check_refused(body: &[u8], words: &str) {
    for size in [1, 3, body.len()] {
        let error = heard(body, size).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// A WAV file whose `fmt ` chunk says this, of a writer that does not know the end.
fn wav_of(tag: u16, channels: u16, rate_hz: u32) -> Vec<u8> {
    let mut file = b"RIFF\xFF\xFF\xFF\xFFWAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(rate_hz.to_le_bytes());
    file.extend([0x40, 0x1F, 0, 0, 1, 0, 8, 0]);
    file.extend(b"data\xFF\xFF\xFF\xFF");
    file.extend(SPEECH);
    file
}

#[test]
fn bare_audio_passes_as_it_is() {
    check(&SPEECH, &SPEECH);
    check(b"RIFx and more", b"RIFx and more");
    check(b"RIFF....WAVx and more", b"RIFF....WAVx and more");
}

#[test]
fn a_wav_header_is_taken_off_however_it_is_cut() {
    for data_bytes in [0, u32::MAX] {
        let body = [&wav::header(1, data_bytes)[..], &SPEECH].concat();
        check(&body, &SPEECH);
    }
    check(&wav_of(7, 1, 8_000), &SPEECH);
}

#[test]
fn what_stands_behind_the_audio_of_a_wav_file_is_not_played() {
    let header = wav::header(1, u32::try_from(SPEECH.len()).unwrap());
    let body = [&header[..], &SPEECH, b"\0LIST\x04\0\0\0info"].concat();
    check(&body, &SPEECH);
}

#[test]
fn audio_of_another_coding_is_refused() {
    check_refused(&wav_of(1, 1, 24_000), "format 1, 1 channels and 24000 Hz");
    check_refused(&wav_of(7, 2, 8_000), "2 channels");
    check_refused(b"OggS\0\x02", "Ogg");
    check_refused(b"fLaC\0\0\0\x22", "FLAC");
    check_refused(b"ID3\x04\0\0", "MP3");
    check_refused(b"RIFF\0\0\0\0WAVEdata\x10\0\0\0abcd", "damaged");
    check_refused(b"RIFF\0\0\0\0WAVELIST\xFF\xFF\xFF\xFFabcd", "damaged");
}

#[test]
fn the_head_tells_what_was_spoken() {
    let answer = Answer::read(|name| match name {
        "content-type" => Some("audio/basic"),
        "dg-request-id" => Some("0dc0f1a8-9c05-4a73-8a6c-2f3a3d1d0f77"),
        "dg-model-name" => Some("aura-2-thalia-en"),
        "dg-char-count" => Some("26"),
        _ => None,
    });
    let answer = answer.unwrap();
    let request_id = answer.request_id.as_deref();
    assert_eq!(request_id, Some("0dc0f1a8-9c05-4a73-8a6c-2f3a3d1d0f77"));
    assert_eq!(answer.model.as_deref(), Some("aura-2-thalia-en"));
    assert_eq!(answer.char_count, Some(26));
}

#[test]
fn what_is_said_to_be_something_else_is_refused() {
    let of_type = |content_type| {
        Answer::read(move |name| (name == "content-type").then_some(content_type)).is_ok()
    };
    for audio in [
        "",
        "audio/basic",
        "audio/mulaw",
        "audio/wav",
        "application/octet-stream",
    ] {
        assert!(of_type(audio), "{audio}");
    }
    for other in [
        "application/json",
        "text/html; charset=utf-8",
        "audio/mpeg",
        "Audio/L16;rate=24000;channels=1",
        "audio/ogg",
    ] {
        assert!(!of_type(other), "{other}");
    }
}

proptest! {
    #[test]
    fn bytes_come_out_once_and_in_order_wherever_they_are_cut(
        body in prop::collection::vec(any::<u8>(), 0..300),
        size in 1..300_usize,
    ) {
        if let Ok(codes) = heard(&body, size) {
            prop_assert!(body.starts_with(&codes));
            let may_be_a_header = body.len() < 4 || body.starts_with(b"RIFF");
            prop_assert!(codes == body || may_be_a_header);
        }
    }
}
