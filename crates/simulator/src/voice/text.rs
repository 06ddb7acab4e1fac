//! Written words: what they are without punctuation, and the pauses that punctuation asks for.

use sidetone_audio::SAMPLES_PER_MS;

/// The longest written word that is carried in one piece.
pub(super) const MAX_WORD_BYTES: usize = 64;

/// The word in lower case, without what surrounds its first and last letter or digit; empty when
/// it has none.
pub(crate) fn bare(written: &str) -> String {
    written
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase()
        .replace('\u{2019}', "'")
}

/// Cuts a written word into pieces of at most [`MAX_WORD_BYTES`].
pub(super) fn chunks(written: &str) -> impl Iterator<Item = &str> {
    let mut rest = written;
    std::iter::from_fn(move || {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(MAX_WORD_BYTES));
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Silence after a written word, in samples.
pub(super) fn pause_after(written: &str) -> u64 {
    let last = written
        .trim_end_matches(['"', '\'', ')', ']', '\u{2019}', '\u{201D}'])
        .chars()
        .last();
    let pause_ms = match last {
        Some('.' | '!' | '?' | '\u{2026}') => 420,
        Some(',' | ';' | ':' | '-' | '\u{2013}' | '\u{2014}') => 220,
        _ => 40,
    };
    pause_ms * SAMPLES_PER_MS
}
