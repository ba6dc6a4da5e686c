//! The accounts of agents, as their owner sees and configures them.

use std::fmt;

use serde_json::{Map, Value};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::serde_helpers::ReadError;
use super::{AgentId, Timestamp, UserId, serde_helpers};
use crate::token::AgentToken;

/// An agent's account, as its owner sees it. (An [`Agent`](crate::Agent) is a connected agent.)
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgentInfo {
    /// The agent's id.
    pub id: AgentId,
    /// The name for mentions, without `@`.
    #[serde(default)]
    pub username: String,
    /// The display name. Set to the username if the server sent none.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// The role, such as `Assistant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The personality, as a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<String>,
    /// Whether the agent is verified and may connect. `None` if the server did not send it.
    #[serde(rename(deserialize = "verified|is_verified"), skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// The status, as the server wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The owner's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<UserId>,
    /// The time of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

lenient!(AgentInfo, |agent| {
    serde_helpers::fill(&mut agent.username, &agent.display_name);
    serde_helpers::fill(&mut agent.display_name, &agent.username);
    if agent.username.is_empty() {
        return Err(ReadError::missing_field("username"));
    }
});

/// A new agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct CreatedAgent {
    /// The agent's account. The agent cannot connect before it is verified.
    pub agent: AgentInfo,
    /// The agent's token. The server shows it only once: store it now.
    #[serde(rename = "agentToken")]
    pub agent_token: AgentToken,
}

lenient!(read CreatedAgent);

/// An agent that was verified.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct VerifiedAgent {
    /// The agent's token, if the server sends it again here. Usually the server sends the token only on creation.
    #[serde(rename = "agentToken")]
    pub agent_token: Option<AgentToken>,
}

lenient!(read VerifiedAgent);

open_enum! {
    /// Who may prompt an agent.
    pub enum PromptPermission {
        /// Everybody.
        Open = "open",
        /// The owner and the users on the whitelist.
        Whitelist = "whitelist",
        /// Only the owner.
        Closed = "closed",
    }
}

open_enum! {
    /// Who approves an agent's payments.
    pub enum ApprovalMode {
        /// Nobody: the agent pays within its limits.
        Auto = "auto",
        /// The owner approves each payment.
        Manual = "manual",
    }
}

/// An agent's configuration. Documented keys have methods; [`get`](Self::get) returns any other key.
///
/// The configuration may contain API keys of third parties, so `Debug` shows only the names.
#[derive(Clone, Default, PartialEq)]
pub struct AgentConfig(Map<String, Value>);

impl AgentConfig {
    /// The value of any key. Secrets that were set with `/agent customize` are decrypted.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// All keys and values.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The agent's role.
    pub fn role(&self) -> Option<&str> {
        self.text("role")
    }

    /// The agent's personality.
    pub fn personality(&self) -> Option<&str> {
        self.text("personality")
    }

    /// How the agent talks to people.
    pub fn interaction_style(&self) -> Option<&str> {
        self.text("interaction_style")
    }

    /// The agent's level of expertise.
    pub fn expertise_level(&self) -> Option<&str> {
        self.text("expertise_level")
    }

    /// The URL to which the server sends prompts for the agent.
    pub fn response_webhook_url(&self) -> Option<&str> {
        self.text("response_webhook_url").or_else(|| self.text("webhook_url"))
    }

    /// The provider of the language model on which the server runs the agent.
    pub fn llm_provider(&self) -> Option<&str> {
        self.text("llm_provider")
    }

    /// The Ollama server on which the agent runs.
    pub fn ollama_endpoint(&self) -> Option<&str> {
        self.text("ollama_endpoint")
    }

    /// The model on the Ollama server.
    pub fn ollama_model(&self) -> Option<&str> {
        self.text("ollama_model")
    }

    /// Who may prompt the agent.
    pub fn prompt_permission(&self) -> Option<PromptPermission> {
        self.text("prompt_permission").map(PromptPermission::from)
    }

    /// The whitelist: the usernames that may prompt the agent under [`PromptPermission::Whitelist`].
    pub fn prompt_whitelist(&self) -> Vec<&str> {
        self.texts("prompt_whitelist")
    }

    /// The OpenClaw gateway on which the server runs the agent.
    pub fn openclaw_gateway(&self) -> Option<&str> {
        self.text("openclaw_gateway")
    }

    /// The agent's id on the OpenClaw gateway.
    pub fn openclaw_agent_id(&self) -> Option<&str> {
        self.text("openclaw_agent_id")
    }

    /// The largest amount that the agent may spend in one transaction, in USDC.
    pub fn wallet_spend_limit_per_tx(&self) -> Option<f64> {
        self.number("wallet_spend_limit_per_tx")
    }

    /// The largest amount that the agent may spend in a day, in USDC.
    pub fn wallet_spend_limit_daily(&self) -> Option<f64> {
        self.number("wallet_spend_limit_daily")
    }

    /// Who approves the agent's payments.
    pub fn wallet_approval_mode(&self) -> Option<ApprovalMode> {
        self.text("wallet_approval_mode").map(ApprovalMode::from)
    }

    /// The URLs of the hooks that the agent may pay.
    pub fn wallet_allowlisted_hooks(&self) -> Vec<&str> {
        self.texts("wallet_allowlisted_hooks")
    }

    /// Reads a number, or a number in a text: the database stores decimals as text.
    fn number(&self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    fn texts(&self, key: &str) -> Vec<&str> {
        let list = self.get(key).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }
}

impl fmt::Debug for AgentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentConfig ")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for AgentConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_helpers::map(deserializer).map(AgentConfig)
    }
}

/// Serialises all keys and values.
impl Serialize for AgentConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_a_name_under_any_key() {
        for json in [
            r#"{"id":"a","username":"mybot"}"#,
            r#"{"id":"a","name":"mybot","ownerId":"usr-1"}"#,
            r#"{"id":"a","username":"mybot","displayName":"mybot","is_verified":true}"#,
        ] {
            let agent: AgentInfo = serde_json::from_str(json).unwrap();
            assert_eq!((agent.username.as_str(), agent.display_name.as_str()), ("mybot", "mybot"), "{json}");
        }
        assert!(serde_json::from_str::<AgentInfo>(r#"{"id":"a"}"#).is_err());
    }

    #[test]
    fn the_token_is_in_the_answer_and_not_in_debug() {
        let json = r#"{"agent":{"id":"a","username":"mybot"},"agentToken":"sk_secret"}"#;
        let created: CreatedAgent = serde_json::from_str(json).unwrap();
        assert_eq!(created.agent_token.expose(), "sk_secret");
        assert!(!format!("{created:?}").contains("secret"));
    }

    #[test]
    fn a_config_shows_names_but_no_values() {
        let json = r#"{"role":"Assistant","llm_api_key":"sk-hidden","webhook_url":"https://h/",
            "prompt_permission":"friends","prompt_whitelist":["alice",7]}"#;
        let config: AgentConfig = serde_json::from_str(json).unwrap();
        assert_eq!((config.role(), config.response_webhook_url()), (Some("Assistant"), Some("https://h/")));
        assert_eq!(config.prompt_permission(), Some(PromptPermission::Unknown("friends".to_owned())));
        assert_eq!(config.prompt_whitelist(), ["alice"]);
        let debug = format!("{config:?}");
        assert!(debug.contains("llm_api_key") && !debug.contains("hidden"), "{debug}");
    }
}
