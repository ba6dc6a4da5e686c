//! The configuration of agents that Crustocean hosts.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::serde_helpers;

/// The persona, settings and skills of an agent that Crustocean hosts. Returned by [`HostedConfig::from_env`] and
/// [`ClientBuilder::hosted_config`](crate::rest::ClientBuilder::hosted_config).
///
/// The settings may contain API keys of third parties, so `Debug` shows no texts.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HostedConfig {
    /// The persona, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soul_md: Option<String>,
    /// The settings, in YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_yaml: Option<String>,
    /// The skills: name and text.
    #[serde(default, deserialize_with = "texts")]
    pub skills: BTreeMap<String, String>,
}

lenient!(HostedConfig);

impl fmt::Debug for HostedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedConfig")
            .field("soul_md", &self.soul_md.as_ref().map(|_| "…"))
            .field("config_yaml", &self.config_yaml.as_ref().map(|_| "…"))
            .field("skills", &self.skills.keys())
            .finish()
    }
}

/// Reads the values of an object that are texts.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = serde_helpers::map(deserializer)?;
    let texts = map.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    });
    Ok(texts.collect())
}
