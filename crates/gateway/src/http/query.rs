//! Query parameters, and what is said when one is wrong.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::problem::Problem;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

/// The query parameters of a request. One without a value counts as not given, one that nobody
/// asks for is ignored.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self(
            pairs
                .filter(|(_, value)| !value.is_empty())
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }

    /// A parameter as it is; refused when it is given more than once.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self
            .0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(Problem::invalid_request(format!(
                "`{name}` is given more than once."
            )));
        }
        Ok(value.map(String::as_str))
    }

    /// A parameter as a value; `expected` says in words what it has to be.
    pub(super) fn value<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let parse = |text: &str| text.parse().map_err(|_| Self::wrong(name, text, expected));
        self.text(name)?.map(parse).transpose()
    }

    /// How many items a page may have.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let expected = "a number from 1 to 500";
        match self.value("limit", expected)? {
            None => Ok(DEFAULT_LIMIT),
            Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
            Some(limit) => Err(Self::wrong("limit", &limit.to_string(), expected)),
        }
    }

    /// What is said of a parameter that is not what it has to be.
    pub(super) fn wrong(name: &str, found: &str, expected: &str) -> Problem {
        let found: String = found.chars().take(40).collect();
        Problem::invalid_request(format!("`{name}` is `{found}`, expected {expected}."))
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_fifty_unless_told_and_stays_in_its_range() {
        assert_eq!(Query::parse("").limit().unwrap(), 50);
        assert_eq!(Query::parse("limit=").limit().unwrap(), 50);
        assert_eq!(Query::parse("limit=1").limit().unwrap(), 1);
        assert_eq!(Query::parse("limit=500").limit().unwrap(), 500);
        for query in [
            "limit=0",
            "limit=501",
            "limit=-1",
            "limit=ten",
            "limit=5&limit=6",
        ] {
            assert!(Query::parse(query).limit().is_err(), "{query}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("from=%2B15550001&x=1");
        assert_eq!(query.text("from").unwrap(), Some("+15550001"));
        assert_eq!(query.value::<u64>("x", "a number").unwrap(), Some(1));
        assert_eq!(query.value::<u64>("y", "a number").unwrap(), None);
    }
}
