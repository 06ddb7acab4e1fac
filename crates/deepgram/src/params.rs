//! Query parameters that a profile may set, checked by name and value.

use std::collections::BTreeMap;

mod spec;

pub(crate) use self::spec::{Kind, Spec, is_language};

/// Why a parameter cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// Deepgram has no such parameter.
    #[error("{service} has no parameter `{name}`{}", did_you_mean(*closest))]
    Unknown {
        /// What was asked.
        service: &'static str,
        /// As given.
        name: String,
        /// The nearest name there is.
        closest: Option<&'static str>,
    },
    /// Sidetone sets it.
    #[error("`{name}` is set by Sidetone ({reason}); take it out of the profile")]
    Reserved {
        /// Which.
        name: &'static str,
        /// What Sidetone does with it.
        reason: &'static str,
    },
    /// The value is not one of those allowed.
    #[error("`{name}` is `{found}`, but must be {allowed}")]
    BadValue {
        /// Which.
        name: &'static str,
        /// As given.
        found: String,
        /// What may be given.
        allowed: String,
    },
    /// No value, or more than one where one is taken.
    #[error("`{name}` takes {}, but was given {found}", if *repeatable { "one value or more" } else { "one value" })]
    Count {
        /// Which.
        name: &'static str,
        /// How many were given.
        found: usize,
        /// Whether several may be.
        repeatable: bool,
    },
    /// Deepgram refuses what these are together.
    #[error("{what}: {remedy}")]
    Conflict {
        /// What does not go together.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// The parameters that are set, and their values.
pub(crate) type Values = BTreeMap<&'static str, Vec<String>>;

/// What one of Deepgram's services takes.
pub(crate) struct Service {
    /// For the words of an error.
    pub(crate) name: &'static str,
    pub(crate) specs: &'static [Spec],
    /// What Deepgram knows and a profile has not to decide, and why not.
    pub(crate) reserved: &'static [(&'static str, &'static str)],
}

impl Service {
    /// Sets a parameter, replacing what it was. Nothing changes when that cannot be.
    pub(crate) fn set<V: AsRef<str>>(
        &self,
        set: &mut Values,
        name: &str,
        values: &[V],
    ) -> Result<(), ParamError> {
        if let Some(&(name, reason)) = self.reserved.iter().find(|(reserved, _)| *reserved == name)
        {
            return Err(ParamError::Reserved { name, reason });
        }
        let spec = self.specs.iter().find(|spec| spec.name == name);
        let spec = spec.ok_or_else(|| ParamError::Unknown {
            service: self.name,
            name: name.to_owned(),
            closest: spec::closest(name, self.specs),
        })?;
        if values.is_empty() || (values.len() > 1 && !spec.repeatable) {
            return Err(ParamError::Count {
                name: spec.name,
                found: values.len(),
                repeatable: spec.repeatable,
            });
        }
        let values = values.iter().map(AsRef::as_ref);
        for value in values.clone() {
            if !spec.kind.allows(value) {
                return Err(ParamError::BadValue {
                    name: spec.name,
                    found: spec::excerpt(value),
                    allowed: spec.kind.to_string(),
                });
            }
        }
        set.insert(spec.name, values.map(str::to_owned).collect());
        Ok(())
    }
}

fn did_you_mean(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}
