//! Feeds decoders with the samples of a committed corpus, whole and damaged.
//!
//! The samples of a target are the files of `fixtures/corpus/TARGET`. Noise alone would not get
//! past the first brace of anything, so every input is a sample with something done to it. For
//! tests only.

mod damage;

use std::fmt;
use std::fs;
use std::panic::{self, RefUnwindSafe};
use std::path::Path;
use std::time::Duration;

use bolero::{TypeGenerator as _, ValueGenerator as _};

use crate::damage::Damages;

/// Holds `property` against every sample of `target`, then against damaged ones, for
/// `SIDETONE_FUZZ_SECS` seconds.
///
/// Two tenths of a second unless told: an ordinary test run replays the corpus and takes a short
/// look around. A failure prints the smallest input that was found to show it.
///
/// # Panics
/// When `property` does, and when the corpus has no sample.
pub fn check(target: &str, property: impl Fn(&[u8]) + RefUnwindSafe) {
    let samples = samples(target);
    for (name, sample) in &samples {
        if let Err(panic) = panic::catch_unwind(|| property(sample)) {
            eprintln!("the sample {name} of {target} fails");
            panic::resume_unwind(panic);
        }
    }
    let samples: Vec<Vec<u8>> = samples.into_iter().map(|(_, sample)| sample).collect();
    let inputs = Damages::produce().map_gen(move |damages| Input(damages.applied_to(&samples)));
    bolero::check!(name = target)
        .with_generator(inputs)
        .with_test_time(test_time())
        .for_each(|input| property(&input.0));
}

/// As [`check`], for decoders of text: what is no UTF-8 is replaced.
///
/// # Panics
/// As [`check`].
pub fn check_text(target: &str, property: impl Fn(&str) + RefUnwindSafe) {
    check(target, |bytes| property(&String::from_utf8_lossy(bytes)));
}

/// How long a target is fuzzed: `SIDETONE_FUZZ_SECS`, else two tenths of a second.
///
/// # Panics
/// When the variable is set and no number of seconds.
pub fn test_time() -> Duration {
    let told = std::env::var("SIDETONE_FUZZ_SECS").ok();
    told.map_or(Duration::from_millis(200), |secs| {
        let secs = secs.parse().ok();
        let time = secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        time.expect("SIDETONE_FUZZ_SECS is a number of seconds")
    })
}

/// What a decoder is given, readable when it fails.
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// The corpus of a target by file name, in order, so that a seed finds the same samples again.
fn samples(target: &str) -> Vec<(String, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus");
    let folder = corpus.join(target);
    let files = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("no corpus in {}: {error}", folder.display()));
    let mut samples: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let file = file.expect("a folder that was opened can be listed");
            let sample = fs::read(file.path()).expect("samples are readable files");
            (file.file_name().to_string_lossy().into_owned(), sample)
        })
        .collect();
    assert!(!samples.is_empty(), "no sample in {}", folder.display());
    samples.sort();
    samples
}
