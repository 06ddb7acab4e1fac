//! The layers of the configuration, gathered: nothing else reads the environment.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::args::Layers;
use crate::config::{CONFIG_FILE, Inputs};

impl Layers {
    /// These flags, the environment and the working folder.
    pub(crate) fn inputs(self) -> anyhow::Result<Inputs> {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let named = || {
            environment
                .get(CONFIG_FILE)
                .filter(|path| !path.is_empty())
                .map(Into::into)
        };
        Ok(Inputs {
            file: self.config.or_else(named),
            folder: std::env::current_dir().context("the working folder is gone")?,
            sets: self.sets,
            environment,
            ..Inputs::default()
        })
    }
}
