//! What the caller says over the other side, and when.

use std::str::FromStr;

use crate::voice::bare;

/// Something the caller says as soon as its cue comes, whoever is speaking.
///
/// Written as `AFTER: TEXT`, where AFTER is a number of words or a phrase: `5: wait a moment`,
/// `how may I help: goodbye`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interjection {
    /// When it is said.
    pub after: Cue,
    /// What is said.
    pub say: String,
}

/// What the caller waits for, listening, from the end of what it said last or of the interjection
/// before this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cue {
    /// So many words were heard.
    Words(usize),
    /// These words were heard one after the other; case and punctuation do not count.
    Phrase(String),
}

/// Why a text is no interjection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterjectionError {
    /// There is no colon.
    #[error("expected AFTER: TEXT, as in `5: wait a moment` or `how may I help: goodbye`")]
    NoColon,
    /// Before the colon stands nothing that can be waited for.
    #[error("expected a number of words from 1, or a phrase, before the colon")]
    NoCue,
    /// After the colon stands nothing that can be said.
    #[error("expected what the caller says after the colon")]
    NothingSaid,
}

impl FromStr for Interjection {
    type Err = InterjectionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (after, say) = text.split_once(':').ok_or(InterjectionError::NoColon)?;
        let after = match after.trim().parse() {
            Ok(0) => return Err(InterjectionError::NoCue),
            Ok(words) => Cue::Words(words),
            Err(_) if bare_words(after).is_empty() => return Err(InterjectionError::NoCue),
            Err(_) => Cue::Phrase(after.trim().to_owned()),
        };
        if bare_words(say).is_empty() {
            return Err(InterjectionError::NothingSaid);
        }
        let say = say.trim().to_owned();
        Ok(Self { after, say })
    }
}

impl Cue {
    /// Whether it has come, with these words heard so far, lower case and bare.
    pub(super) fn has_come(&self, heard: &[String]) -> bool {
        match self {
            Self::Words(words) => heard.len() >= *words,
            Self::Phrase(phrase) => heard.ends_with(&bare_words(phrase)),
        }
    }
}

fn bare_words(text: &str) -> Vec<String> {
    let words = text.split_whitespace().map(bare);
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interjection_is_written_with_its_cue_before_a_colon() {
        let parsed = |text: &str| text.parse::<Interjection>();
        let interjection = |after, say: &str| {
            let say = say.to_owned();
            Ok(Interjection { after, say })
        };
        let phrase = |text: &str| Cue::Phrase(text.to_owned());
        assert_eq!(
            parsed("5: Wait: what?"),
            interjection(Cue::Words(5), "Wait: what?")
        );
        assert_eq!(
            parsed(" How may I help :goodbye"),
            interjection(phrase("How may I help"), "goodbye")
        );
        for (text, error) in [
            ("wait", InterjectionError::NoColon),
            (": wait", InterjectionError::NoCue),
            ("?: wait", InterjectionError::NoCue),
            ("0: wait", InterjectionError::NoCue),
            ("5: ...", InterjectionError::NothingSaid),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_cue_comes_with_its_last_word() {
        let heard: Vec<String> = ["hello", "how", "are", "you"].map(str::to_owned).into();
        let phrase = Cue::Phrase("How are you?".to_owned());
        assert!(phrase.has_come(&heard) && !phrase.has_come(&heard[..3]));
        assert!(Cue::Words(3).has_come(&heard[..3]) && !Cue::Words(4).has_come(&heard[..3]));
    }
}
