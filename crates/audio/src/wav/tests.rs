use std::io::Cursor;

use super::*;

/// A file of these chunks.
fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WAVE".to_vec();
    for (name, content) in chunks {
        body.extend_from_slice(*name);
        body.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        body.extend_from_slice(content);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    file.extend(body);
    file
}

/// The body of a `fmt ` chunk.
fn format(tag: u16, channels: u16, rate_hz: u32, bits: u16) -> Vec<u8> {
    let frame_bytes = channels * (bits / 8);
    let mut format = Vec::new();
    format.extend(tag.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate_hz.to_le_bytes());
    format.extend((rate_hz * u32::from(frame_bytes)).to_le_bytes());
    format.extend(frame_bytes.to_le_bytes());
    format.extend(bits.to_le_bytes());
    format
}

fn wav(tag: u16, channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let format = format(tag, channels, rate_hz, bits);
    riff(&[(b"fmt ", &format), (b"data", data)])
}

#[track_caller]
fn check(file: &[u8], lanes: &[&[u8]]) {
    assert_eq!(read(file).unwrap().lanes, lanes);
}

/// Codes that are their own compression: all but the second zero.
fn codes() -> Vec<u8> {
    (0..=u8::MAX).filter(|&code| code != 0x7F).collect()
}

#[test]
fn mu_law_passes_code_for_code() {
    let every: Vec<u8> = (0..=u8::MAX).collect();
    check(&wav(7, 1, 8_000, 8, &every), &[&every]);
    check(&wav(7, 2, 8_000, 8, &[1, 2, 3, 4]), &[&[1, 3], &[2, 4]]);
}

#[test]
fn a_file_with_our_header_reads_back() {
    for channels in [1, 2] {
        let mut file = header(channels, 6).to_vec();
        file.extend([1, 2, 3, 4, 5, 6]);
        let recording = read(&file).unwrap();
        assert_eq!(recording.lanes.len(), usize::from(channels));
        assert_eq!(recording.lanes.concat().len(), 6);
        assert_eq!(file[4..8], (58 - 8 + 6u32).to_le_bytes());
        assert_eq!(file[46..50], (6 / u32::from(channels)).to_le_bytes());
    }
    let mut growing = header(1, 0).to_vec();
    growing.extend([9, 8, 7]);
    check(&growing, &[&[9, 8, 7]]);
}

#[test]
fn a_law_is_within_a_step_of_mu_law() {
    // A-law's loudest, its zeros, and a middle level.
    let file = wav(6, 1, 8_000, 8, &[0xAA, 0x2A, 0xD5, 0x55, 0x85]);
    let [lane] = &read(&file).unwrap().lanes[..] else {
        panic!("one channel")
    };
    let levels: Vec<i16> = lane.iter().map(|&code| ulaw_level(code)).collect();
    assert_eq!(levels[..4], [32_124, -32_124, 8, -8]);
    assert!((levels[4] - 4_224).abs() <= 128, "{}", levels[4]);
}

fn ulaw_level(code: u8) -> i16 {
    crate::ulaw::expand(code)
}

/// The same levels, written by another library in every width.
#[test]
fn what_another_writer_makes_of_pcm_is_read() {
    let codes = codes();
    for (bits, shift) in [(16, 0), (24, 8), (32, 16)] {
        for channels in [1, 2] {
            let spec = hound::WavSpec {
                channels,
                sample_rate: 8_000,
                bits_per_sample: bits,
                sample_format: hound::SampleFormat::Int,
            };
            let mut file = Cursor::new(Vec::new());
            let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
            for &code in &codes {
                for _ in 0..channels {
                    let level = i32::from(ulaw_level(code)) << shift;
                    writer.write_sample(level).unwrap();
                }
            }
            writer.finalize().unwrap();
            // Hound writes WAVE_FORMAT_EXTENSIBLE from 24 bits on.
            let lanes = vec![&codes[..]; usize::from(channels)];
            check(file.get_ref(), &lanes);
        }
    }
}

#[test]
fn what_another_writer_makes_of_floats_is_read() {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let codes = codes();
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    for &code in &codes {
        let level = f32::from(ulaw_level(code)) / 32_768.0;
        writer.write_sample(level).unwrap();
    }
    for odd in [f32::NAN, f32::INFINITY, -7.0] {
        writer.write_sample(odd).unwrap();
    }
    writer.finalize().unwrap();
    let mut expected = codes;
    expected.extend([0xFF, 0x80, 0x00]);
    check(file.get_ref(), &[&expected]);
}

#[test]
fn eight_bit_pcm_is_unsigned() {
    let file = wav(1, 1, 8_000, 8, &[128, 255, 0]);
    check(&file, &[&[0xFF, 0x80, 0x00]]);
}

#[test]
fn a_stereo_file_at_another_rate_keeps_its_channels_apart_and_its_length() {
    let tone = |at: i32| i16::try_from(at % 48 * 400 - 9_600).unwrap();
    let data: Vec<u8> = (0..48_000)
        .flat_map(|at| [tone(at), 0])
        .flat_map(i16::to_le_bytes)
        .collect();
    let Recording { lanes } = read(&wav(1, 2, 48_000, 16, &data)).unwrap();
    assert_eq!(lanes.iter().map(Vec::len).collect::<Vec<_>>(), [8_000; 2]);
    assert!(crate::ulaw::level_dbov(&lanes[0]) > -20.0);
    assert!(crate::ulaw::is_silent(&lanes[1]));
}

#[test]
fn unknown_chunks_are_passed_over_wherever_they_stand() {
    let format = format(7, 1, 8_000, 8);
    let file = riff(&[
        (b"LIST", b"odd"),
        (b"fmt ", &format),
        (b"fact", &[3, 0, 0, 0]),
        (b"data", &[1, 2, 3]),
        (b"bext", b"more"),
    ]);
    check(&file, &[&[1, 2, 3]]);
    let backwards = riff(&[(b"data", &[1, 2, 3]), (b"fmt ", &format)]);
    check(&backwards, &[&[1, 2, 3]]);
}

#[test]
fn a_streamed_or_torn_file_is_read_to_its_end() {
    let whole = wav(1, 2, 8_000, 16, &[0; 12]);
    let size_at = whole.len() - 16;
    for size in [0u32, u32::MAX, 0x7FFF_F000, 12] {
        let mut file = whole.clone();
        file[size_at..size_at + 4].copy_from_slice(&size.to_le_bytes());
        check(&file, &[&[0xFF; 3], &[0xFF; 3]]);
        file.truncate(file.len() - 1);
        check(&file, &[&[0xFF; 2], &[0xFF; 2]]);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_what_was_found() {
    let refuse = |file: &[u8], error: WavError| assert_eq!(read(file), Err(error));
    refuse(b"", WavError::NotWav);
    refuse(b"ID3\x04 not a wav file", WavError::NotWav);
    refuse(b"RIFF\x04\0\0\0AVI ", WavError::NotWav);
    refuse(&riff(&[(b"data", &[1])]), WavError::NoFormat);
    refuse(&riff(&[(b"fmt ", &[7, 0, 1])]), WavError::NoFormat);
    refuse(
        &riff(&[(b"fmt ", &format(7, 1, 8_000, 8))]),
        WavError::Empty,
    );
    refuse(&wav(1, 2, 8_000, 16, &[1, 2, 3]), WavError::Empty);
    let adpcm = WavError::Coding { tag: 2, bits: 4 };
    refuse(&wav(2, 1, 8_000, 4, &[1]), adpcm);
    refuse(&wav(1, 0, 8_000, 8, &[1]), WavError::Channels(0));
    refuse(&wav(1, 6, 8_000, 8, &[1; 6]), WavError::Channels(6));
    refuse(&wav(1, 1, 7_999, 8, &[1]), WavError::Rate(7_999));
    refuse(&wav(1, 1, 192_000, 8, &[1]), WavError::Rate(192_000));
    let mut contradiction = wav(1, 1, 8_000, 16, &[1, 2]);
    contradiction[32] = 4;
    let (expected, found) = (2, 4);
    refuse(&contradiction, WavError::Frame { expected, found });
}
