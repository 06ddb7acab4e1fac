//! Texts as words: what was heard is matched by them, what is said is cut into sentences.

use crate::emulator::recognizer::DIGITS;

/// The words of a text, bare and in lower case.
pub(super) fn words(text: &str) -> Vec<String> {
    let bare = |word: &str| {
        word.trim_matches(|c: char| !c.is_alphanumeric() && c != '{' && c != '}')
            .to_lowercase()
    };
    let words = text.split_whitespace().map(bare);
    words.filter(|word| !word.is_empty()).collect()
}

/// The figures that words begin with, in a row: `four seven 1 please` is `471`.
pub(super) fn leading_figures(words: &[String]) -> Option<String> {
    let figures: String = words.iter().map_while(|word| figure(word)).collect();
    (!figures.is_empty()).then_some(figures)
}

/// The figures and keys of a telephone anywhere in a text.
pub(super) fn keys(words: &[String]) -> String {
    let key = |word: &String| match word.as_str() {
        "star" => Some("*".to_owned()),
        "pound" | "hash" => Some("#".to_owned()),
        word => figure(word),
    };
    words.iter().filter_map(key).collect()
}

fn figure(word: &str) -> Option<String> {
    if word.chars().all(|c| c.is_ascii_digit()) {
        return Some(word.to_owned());
    }
    let digit = DIGITS.iter().position(|name| *name == word)?;
    Some(digit.to_string())
}

/// The sentences of a text.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let ends = |text: &str| {
        let end = text
            .match_indices(['.', '!', '?'])
            .map(|(at, _)| at + 1)
            .find(|end| text[*end..].starts_with(char::is_whitespace));
        end.unwrap_or(text.len())
    };
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        let (sentence, after) = rest.split_at(ends(rest));
        rest = after.trim_start();
        (!sentence.is_empty()).then_some(sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_digits_and_their_names() {
        assert_eq!(
            leading_figures(&words("Four, seven 19 please")),
            Some("4719".to_owned())
        );
        assert_eq!(leading_figures(&words("please four")), None);
        assert_eq!(keys(&words("Press star one, then pound.")), "*1#");
    }

    #[test]
    fn a_text_is_cut_after_each_sentence() {
        let cut: Vec<&str> = sentences("Hello! It costs 4.50 today. Goodbye").collect();
        assert_eq!(cut, ["Hello!", "It costs 4.50 today.", "Goodbye"]);
        assert_eq!(sentences("  ").count(), 0);
    }
}
