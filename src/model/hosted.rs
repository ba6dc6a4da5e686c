//! What Crustocean sets up for agents that it hosts.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::json::{Json, Mistake, Read};

api_struct! {
    /// Persona, settings and skills of an agent that Crustocean hosts:
    /// [`HostedConfig::from_env`], [`ClientBuilder::hosted_config`](crate::rest::ClientBuilder::hosted_config).
    ///
    /// The settings can hold keys of third parties, so `Debug` shows none of the texts.
    #[derive(Clone, Default, PartialEq)]
    pub struct HostedConfig {
        /// Who the agent is, in Markdown.
        soul_md: Option<String> = optional("soul_md" | "soulMd"),
        /// Its settings, in YAML.
        config_yaml: Option<String> = optional("config_yaml" | "configYaml"),
        /// Its skills: name and text.
        skills: BTreeMap<String, String> = default("skills" as Texts),
    }
}

impl fmt::Debug for HostedConfig {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedConfig")
            .field("soul_md", &self.soul_md.as_ref().map(|_| "…"))
            .field("config_yaml", &self.config_yaml.as_ref().map(|_| "…"))
            .field("skills", &self.skills.keys())
            .finish()
    }
}

/// Those values of an object that are text.
struct Texts(Map<String, Value>);

impl Read for Texts {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        Map::read(json).map(Texts)
    }
}

impl From<Texts> for BTreeMap<String, String> {
    #[inline]
    fn from(Texts(object): Texts) -> Self {
        let mut texts = BTreeMap::new();
        for (name, value) in object {
            if let Value::String(text) = value {
                texts.insert(name, text);
            }
        }
        texts
    }
}
