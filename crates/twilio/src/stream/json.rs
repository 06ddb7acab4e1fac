//! JSON as the wire has it: fields that remember what was found, and escaped text.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A field as it was found, whatever its type.
///
/// Derived deserialization fails at the first wrong type and cannot say which field it was in.
/// This never fails for a type, so the reader can name the field, what it holds and what was
/// expected. Text is borrowed unless it holds escapes; `T` is what an object is read as.
#[derive(Debug, Default)]
pub(super) enum Found<'a, T = IgnoredAny> {
    /// The key is not there.
    #[default]
    Missing,
    /// A string.
    Text(Cow<'a, str>),
    /// A number that is neither negative nor fractional.
    Number(u64),
    /// An object.
    Object(T),
    /// An array.
    Array(Vec<Found<'a>>),
    /// Anything else, in words.
    Other(&'static str),
}

/// Characters of a peer's text that an error repeats; the text ends up in logs and close reasons.
const QUOTED_CHARS: usize = 40;

impl<T> Found<'_, T> {
    /// What was found, in words, for an error.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Missing => "missing".into(),
            Self::Text(text) => quoted(text),
            Self::Number(number) => format!("the number {number}"),
            Self::Object(_) => "an object".into(),
            Self::Array(_) => "an array".into(),
            Self::Other(words) => (*words).into(),
        }
    }

    /// The text, when it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Missing | Self::Number(_) | Self::Object(_) | Self::Array(_) | Self::Other(_) => {
                None
            }
        }
    }

    /// The number: Twilio writes most of its numbers as decimal text.
    pub(super) fn as_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Self::Missing | Self::Text(_) | Self::Object(_) | Self::Array(_) | Self::Other(_) => {
                None
            }
        }
    }
}

/// `text` in back-quotes, cut to a length that fits a log line.
pub(super) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let mut words: String = chars.by_ref().take(QUOTED_CHARS).collect();
    if chars.next().is_some() {
        words.push('…');
    }
    format!("`{words}`")
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Found<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FoundVisitor(PhantomData))
    }
}

struct FoundVisitor<'a, T>(PhantomData<Found<'a, T>>);

impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for FoundVisitor<'a, T> {
    type Value = Found<'a, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Found::Other("null"))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Found::Other(if value { "true" } else { "false" }))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Found::Number(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Found::Other("a negative number"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Found::Other("a fractional number"))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Owned(text.into())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Found::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Found::Array(elements))
    }
}

/// Displays text as a JSON string, quotes included.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for char in self.0.chars() {
            match char {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(char))?,
                _ => fmt::Write::write_char(f, char)?,
            }
        }
        f.write_str("\"")
    }
}

/// Appends formatted text.
pub(super) fn push(out: &mut String, text: fmt::Arguments<'_>) {
    fmt::Write::write_fmt(out, text).expect("writing to a String does not fail");
}
