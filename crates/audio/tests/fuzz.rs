//! Whatever a file holds, reading it gives audio no longer than the file, or an error.

use sidetone_audio::wav::{self, Recording, WavError};
use sidetone_fuzz::check;

#[test]
fn fuzzed_wav_files() {
    check("wav", |bytes| match wav::read(bytes) {
        Ok(recording) => {
            let samples = recording.lanes[0].len();
            assert!((1..=2).contains(&recording.lanes.len()) && samples > 0);
            assert!(recording.lanes.iter().all(|lane| lane.len() == samples));
            assert!(samples * recording.lanes.len() <= bytes.len());
            assert_eq!(wav::read(&written(&recording)), Ok(recording));
        }
        Err(error) => assert!(error.to_string().contains("WAV")),
    });
}

#[test]
fn a_file_cut_anywhere_is_a_shorter_one_or_none() {
    let codes: Vec<u8> = (0..=u8::MAX).collect();
    let whole = written(&Recording {
        lanes: vec![codes.clone()],
    });
    for cut in 0..whole.len() {
        match wav::read(&whole[..cut]) {
            Ok(recording) => assert_eq!(recording.lanes, [&codes[..cut - wav::HEADER_BYTES]]),
            Err(WavError::NotWav | WavError::NoFormat | WavError::Empty) => {
                assert!(cut <= wav::HEADER_BYTES);
            }
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

/// The recording as a file of ours.
fn written(recording: &Recording) -> Vec<u8> {
    let lanes = &recording.lanes;
    let codes = (0..lanes[0].len()).flat_map(|at| lanes.iter().map(move |lane| lane[at]));
    let codes: Vec<u8> = codes.collect();
    let channels = u16::try_from(lanes.len()).expect("there are one or two lanes");
    let data_bytes = u32::try_from(codes.len()).expect("samples are small files");
    let mut file = wav::header(channels, data_bytes).to_vec();
    file.extend(codes);
    file
}
