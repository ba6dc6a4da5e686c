//! Agents as accounts: what their owner sees and sets.

use std::fmt;

use serde_json::{Map, Value};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::serde_helpers::ReadError;
use super::{AgentId, Timestamp, UserId, serde_helpers};
use crate::token::AgentToken;

/// An agent's account, as its owner sees it. (An [`Agent`](crate::Agent) is one that is in the room.)
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct AgentInfo {
    /// The agent's id.
    pub id: AgentId,
    /// The name to mention, without `@`.
    #[serde(default)]
    pub username: String,
    /// The name to show. The username if there is no other.
    #[serde(rename(serialize = "displayName", deserialize = "displayName|name"), default)]
    pub display_name: String,
    /// What it is there for: `Assistant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its personality, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<String>,
    /// Whether it may connect. `None` if the server did not say.
    #[serde(rename(deserialize = "verified|is_verified"), skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Whether it is online, in the server's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<UserId>,
    /// When it was made.
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

/// An agent that was just made.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct CreatedAgent {
    /// The agent's account. It cannot connect before it is verified.
    pub agent: AgentInfo,
    /// The agent's token. The server shows it this once: store it now.
    #[serde(rename = "agentToken")]
    pub agent_token: AgentToken,
}

lenient!(read CreatedAgent);

/// An agent that was just verified.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct VerifiedAgent {
    /// The agent's token, if the server shows it again here; usually it is shown on creation only.
    #[serde(rename = "agentToken")]
    pub agent_token: Option<AgentToken>,
}

lenient!(read VerifiedAgent);

open_enum! {
    /// Who may prompt an agent.
    pub enum PromptPermission {
        /// Everybody.
        Open = "open",
        /// The owner and those on the whitelist.
        Whitelist = "whitelist",
        /// The owner only.
        Closed = "closed",
    }
}

open_enum! {
    /// Who approves what an agent spends.
    pub enum ApprovalMode {
        /// Nobody: it spends within its limits.
        Auto = "auto",
        /// Its owner, each time.
        Manual = "manual",
    }
}

/// An agent's configuration: the keys the documentation names, as methods, and any other with [`get`](Self::get).
///
/// It can hold keys of third parties, so `Debug` shows the names and no values.
#[derive(Clone, Default, PartialEq)]
pub struct AgentConfig(Map<String, Value>);

impl AgentConfig {
    /// The value of any key. Secrets set for an agency with `/agent customize` come decrypted.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// All keys and values.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// What the agent is there for.
    pub fn role(&self) -> Option<&str> {
        self.text("role")
    }

    /// Its personality.
    pub fn personality(&self) -> Option<&str> {
        self.text("personality")
    }

    /// How it talks to people.
    pub fn interaction_style(&self) -> Option<&str> {
        self.text("interaction_style")
    }

    /// How much it knows.
    pub fn expertise_level(&self) -> Option<&str> {
        self.text("expertise_level")
    }

    /// Where the server sends what the agent should answer.
    pub fn response_webhook_url(&self) -> Option<&str> {
        self.text("response_webhook_url").or_else(|| self.text("webhook_url"))
    }

    /// The provider of the language model that the server runs the agent on.
    pub fn llm_provider(&self) -> Option<&str> {
        self.text("llm_provider")
    }

    /// The Ollama server that the server runs the agent on.
    pub fn ollama_endpoint(&self) -> Option<&str> {
        self.text("ollama_endpoint")
    }

    /// The model on that Ollama server.
    pub fn ollama_model(&self) -> Option<&str> {
        self.text("ollama_model")
    }

    /// Who may prompt it.
    pub fn prompt_permission(&self) -> Option<PromptPermission> {
        self.text("prompt_permission").map(PromptPermission::from)
    }

    /// Who may prompt it if only some may: usernames.
    pub fn prompt_whitelist(&self) -> Vec<&str> {
        self.texts("prompt_whitelist")
    }

    /// The OpenClaw gateway that the server runs the agent on.
    pub fn openclaw_gateway(&self) -> Option<&str> {
        self.text("openclaw_gateway")
    }

    /// The agent's id on that gateway.
    pub fn openclaw_agent_id(&self) -> Option<&str> {
        self.text("openclaw_agent_id")
    }

    /// What it may spend in one transaction, in USDC.
    pub fn wallet_spend_limit_per_tx(&self) -> Option<f64> {
        self.number("wallet_spend_limit_per_tx")
    }

    /// What it may spend in a day, in USDC.
    pub fn wallet_spend_limit_daily(&self) -> Option<f64> {
        self.number("wallet_spend_limit_daily")
    }

    /// Who approves what it spends.
    pub fn wallet_approval_mode(&self) -> Option<ApprovalMode> {
        self.text("wallet_approval_mode").map(ApprovalMode::from)
    }

    /// The hooks that it may pay: their URLs.
    pub fn wallet_allowlisted_hooks(&self) -> Vec<&str> {
        self.texts("wallet_allowlisted_hooks")
    }

    /// A number, also as text: the database keeps decimals that way.
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

/// As it came, with all values.
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
