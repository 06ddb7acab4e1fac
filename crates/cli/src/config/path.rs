//! Where a setting stands.

use std::fmt;

/// A key's path, `server.listen` or `profiles.desk.functions[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(Vec<Part>);

/// A step into a table, or into a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Key(String),
    Item(usize),
}

impl Path {
    /// Reads a dotted path; a part may be quoted, as in TOML. An empty text is no step at all.
    pub(super) fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        let mut parts = Vec::new();
        // None behind an item, until a dot tells that a key follows.
        let mut key = Some(String::new());
        let mut is_quoted = false;
        let mut rest = text.chars();
        let end = |key: &mut Option<String>, parts: &mut Vec<Part>| {
            parts.extend(key.take().map(|key| Part::Key(key.trim().to_owned())));
        };
        while let Some(c) = rest.next() {
            match c {
                '"' => is_quoted = !is_quoted,
                '.' if !is_quoted => {
                    end(&mut key, &mut parts);
                    key = Some(String::new());
                }
                '[' if !is_quoted => match item(rest.as_str()) {
                    Some((item, after)) => {
                        end(&mut key, &mut parts);
                        parts.push(Part::Item(item));
                        rest = after.chars();
                    }
                    None => key.get_or_insert_default().push(c),
                },
                other => key.get_or_insert_default().push(other),
            }
        }
        end(&mut key, &mut parts);
        Self(parts)
    }

    pub(super) fn join(&self, key: &str) -> Self {
        self.with(Part::Key(key.to_owned()))
    }

    pub(super) fn item(&self, item: usize) -> Self {
        self.with(Part::Item(item))
    }

    fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }

    /// A path that begins where this one ends.
    pub(super) fn then(&self, below: &Self) -> Self {
        Self([self.0.as_slice(), &below.0].concat())
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// The parts behind `prefix`.
    pub(super) fn below(&self, prefix: &Self) -> Option<&[Part]> {
        self.0.strip_prefix(prefix.0.as_slice())
    }
}

/// The number of `2].name`, and what follows its bracket.
fn item(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once(']')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some((number.parse().ok()?, rest)))?
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            match part {
                Part::Item(item) => write!(f, "[{item}]")?,
                Part::Key(key)
                    if key
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') =>
                {
                    write!(f, "{dot}{key}")?;
                }
                Part::Key(key) => write!(f, "{dot}\"{key}\"")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, parts: &[Part]) {
        assert_eq!(Path::parse(text).parts(), parts);
        assert_eq!(Path::parse(&Path::parse(text).to_string()).parts(), parts);
    }

    fn key(key: &str) -> Part {
        Part::Key(key.to_owned())
    }

    #[test]
    fn a_path_names_keys_and_items() {
        check("server.listen", &[key("server"), key("listen")]);
        check(
            "a.think[1].functions[12].name",
            &[
                key("a"),
                key("think"),
                Part::Item(1),
                key("functions"),
                Part::Item(12),
                key("name"),
            ],
        );
        check("a[0][1]", &[key("a"), Part::Item(0), Part::Item(1)]);
        check("", &[]);
    }

    #[test]
    fn what_is_quoted_is_one_key() {
        check("numbers.\"+1.2[0]\"", &[key("numbers"), key("+1.2[0]")]);
        check("a[b].c[", &[key("a[b]"), key("c[")]);
    }
}
