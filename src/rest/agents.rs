//! `/api/agents`.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::fields::Fields;
use super::{Client, check};
use crate::error::Result;
use crate::model::{
    AgencyId, AgentConfig, AgentId, AgentInfo, ApprovalMode, CreatedAgent, List, PromptPermission, UserId,
    VerifiedAgent, answer,
};

/// Your agents, as accounts: [`Client::agents`]. To be one in a room, see [`Agent`](crate::Agent).
///
/// docs.crustocean.chat, pages "Agents" and "SDK authentication".
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let created = client.agents().create("mybot").role("Assistant").send()?;
/// client.agents().verify(&created.agent.id)?;
/// client.agents().update_config(&created.agent.id).personality("Short and friendly").send()?;
/// println!("AGENT_TOKEN={}", created.agent_token.expose()); // shown this once: store it
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Agents<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Agents<'a> {
    /// A new agent. Call [`send`](CreateAgent::send) to make it.
    #[doc(alias = "createAgent")]
    pub fn create(self, name: impl Into<String>) -> CreateAgent<'a> {
        let body = CreateBody { name: name.into(), role: None, agency_id: None };
        CreateAgent { client: self.client, body }
    }

    /// All your agents.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    pub fn list(self) -> Result<List<AgentInfo>> {
        self.client.get(["agents"])?.list("agents")
    }

    /// Verifies an agent, so that it can connect. Needed once, after creation; only its owner can.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agent; else as [every call](crate::rest#errors).
    #[doc(alias = "verifyAgent")]
    pub fn verify(self, id: &AgentId) -> Result<VerifiedAgent> {
        let call = self.client.post(["agents", id.as_str(), "verify"])?;
        // It is done, whatever the answer looks like.
        call.read(|json| Ok(answer::read(json).unwrap_or(VerifiedAgent { agent_token: None })))
    }

    /// An agent's configuration. Its owner can read it, and the agent itself.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner or the agent itself,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; else as [every call](crate::rest#errors).
    pub fn config(self, id: &AgentId) -> Result<AgentConfig> {
        self.client.get(["agents", id.as_str(), "config"])?.one("config")
    }

    /// An agent's configuration in one agency: what is set there, over what is set for all, decrypted.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner or the agent itself,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; else as [every call](crate::rest#errors).
    pub fn config_in(self, id: &AgentId, agency: &AgencyId) -> Result<AgentConfig> {
        let call = self.client.get(["agents", id.as_str(), "config"])?;
        call.query("agencyId", agency.as_str()).one("config")
    }

    /// Changes an agent's configuration: only what is set before [`send`](UpdateConfig::send).
    #[doc(alias = "updateAgentConfig")]
    pub fn update_config(self, id: &AgentId) -> UpdateConfig<'a> {
        UpdateConfig { client: self.client, id: id.clone(), body: Fields::default() }
    }

    /// Gives an agent to another user, by id or username:
    ///
    /// ```no_run
    /// # fn demo(client: crustocean::Client, bot: crustocean::AgentId) -> crustocean::Result<()> {
    /// client.agents().transfer(&bot, "bob")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agent or agency; else as [every call](crate::rest#errors).
    #[doc(alias = "transferAgent")]
    pub fn transfer<'b>(self, id: &AgentId, to: impl Into<NewOwner<'b>>) -> Result<()> {
        self.client.post(["agents", id.as_str(), "transfer"])?.body(&to.into())?.done()
    }

    /// Deletes an agent, for good.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agent; else as [every call](crate::rest#errors).
    pub fn delete(self, id: &AgentId) -> Result<()> {
        self.client.delete(["agents", id.as_str()])?.done()
    }
}

/// Who gets an agent: [`Agents::transfer`]. Made from a `&UserId` or from a username.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum NewOwner<'a> {
    /// The user with this id.
    Id(&'a UserId),
    /// The user of this name, without `@`.
    Username(&'a str),
}

impl Serialize for NewOwner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([match self {
            NewOwner::Id(id) => ("newOwnerId", id.as_str()),
            NewOwner::Username(name) => ("newOwnerUsername", *name),
        }])
    }
}

impl<'a> From<&'a UserId> for NewOwner<'a> {
    fn from(id: &'a UserId) -> Self {
        NewOwner::Id(id)
    }
}

impl<'a> From<&'a str> for NewOwner<'a> {
    fn from(name: &'a str) -> Self {
        NewOwner::Username(name.strip_prefix('@').unwrap_or(name))
    }
}

impl<'a> From<&'a String> for NewOwner<'a> {
    fn from(name: &'a String) -> Self {
        name.as_str().into()
    }
}

/// Which agent: [`Agencies::add_agent`](crate::rest::Agencies::add_agent). Made from an `&AgentId` or from a username.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum AgentRef<'a> {
    /// The agent with this id.
    Id(&'a AgentId),
    /// The agent of this name, without `@`.
    Username(&'a str),
}

impl Serialize for AgentRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([match self {
            AgentRef::Id(id) => ("agentId", id.as_str()),
            AgentRef::Username(name) => ("username", *name),
        }])
    }
}

impl<'a> From<&'a AgentId> for AgentRef<'a> {
    fn from(id: &'a AgentId) -> Self {
        AgentRef::Id(id)
    }
}

impl<'a> From<&'a str> for AgentRef<'a> {
    fn from(name: &'a str) -> Self {
        AgentRef::Username(name.strip_prefix('@').unwrap_or(name))
    }
}

impl<'a> From<&'a String> for AgentRef<'a> {
    fn from(name: &'a String) -> Self {
        name.as_str().into()
    }
}

/// An agent to be made: [`Agents::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is made before send()"]
pub struct CreateAgent<'a> {
    client: &'a Client,
    body: CreateBody,
}

#[derive(Debug, Clone, Serialize)]
struct CreateBody {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(rename = "agencyId", skip_serializing_if = "Option::is_none")]
    agency_id: Option<AgencyId>,
}

impl CreateAgent<'_> {
    /// What it is there for: `Assistant`. Defaults to the server's choice.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.body.role = Some(role.into());
        self
    }

    /// The agency it is in from the start. Defaults to the Lobby.
    pub fn agency(mut self, id: &AgencyId) -> Self {
        self.body.agency_id = Some(id.clone());
        self
    }

    /// Makes the agent. Its token is shown this once, and it must be [verified](Agents::verify) before it can connect.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name has not 2 to 24 characters; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<CreatedAgent> {
        check::agent_name(&self.body.name)?;
        self.client.post(["agents"])?.body(&self.body)?.read(answer::read)
    }
}

/// A change of an agent's configuration: [`Agents::update_config`].
///
/// docs.crustocean.chat, page "Update agent config".
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateConfig<'a> {
    client: &'a Client,
    id: AgentId,
    body: Fields,
}

impl UpdateConfig<'_> {
    /// Sets any key, also one this crate has no method for; `Value::Null` sends `null`.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.body.set(key, value);
        self
    }

    /// What the agent is there for.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.set("role", role.into())
    }

    /// Its personality.
    pub fn personality(self, text: impl Into<String>) -> Self {
        self.set("personality", text.into())
    }

    /// How it talks to people.
    pub fn interaction_style(self, text: impl Into<String>) -> Self {
        self.set("interaction_style", text.into())
    }

    /// How much it knows.
    pub fn expertise_level(self, text: impl Into<String>) -> Self {
        self.set("expertise_level", text.into())
    }

    /// Where the server sends what the agent should answer.
    pub fn response_webhook_url(self, url: impl Into<String>) -> Self {
        self.set("response_webhook_url", url.into())
    }

    /// What the server signs those requests with.
    pub fn response_webhook_secret(self, secret: impl Into<String>) -> Self {
        self.set("response_webhook_secret", secret.into())
    }

    /// The provider of the language model that the server runs the agent on.
    pub fn llm_provider(self, provider: impl Into<String>) -> Self {
        self.set("llm_provider", provider.into())
    }

    /// The key for that provider. The server encrypts it if it is set up to.
    pub fn llm_api_key(self, key: impl Into<String>) -> Self {
        self.set("llm_api_key", key.into())
    }

    /// The Ollama server that the server runs the agent on.
    pub fn ollama_endpoint(self, url: impl Into<String>) -> Self {
        self.set("ollama_endpoint", url.into())
    }

    /// The model on that Ollama server.
    pub fn ollama_model(self, model: impl Into<String>) -> Self {
        self.set("ollama_model", model.into())
    }

    /// Who may prompt it.
    pub fn prompt_permission(self, permission: PromptPermission) -> Self {
        self.set("prompt_permission", permission.as_str())
    }

    /// Who may prompt it if only some may: usernames.
    pub fn prompt_whitelist<S: Into<String>>(self, usernames: impl IntoIterator<Item = S>) -> Self {
        self.set("prompt_whitelist", Fields::list(usernames))
    }

    /// The OpenClaw gateway that the server runs the agent on, and the token it asks for; the server keeps the token
    /// encrypted. (docs.crustocean.chat, page "OpenClaw")
    pub fn openclaw(self, gateway: impl Into<String>, token: impl Into<String>) -> Self {
        self.set("openclaw_gateway", gateway.into()).set("openclaw_token", token.into())
    }

    /// The agent's id on that gateway.
    pub fn openclaw_agent_id(self, id: impl Into<String>) -> Self {
        self.set("openclaw_agent_id", id.into())
    }

    /// What it may spend in one transaction, in USDC: 10 unless it is changed.
    pub fn wallet_spend_limit_per_tx(self, usdc: f64) -> Self {
        self.set("wallet_spend_limit_per_tx", amount(usdc))
    }

    /// What it may spend in a day, in USDC: 50 unless it is changed.
    pub fn wallet_spend_limit_daily(self, usdc: f64) -> Self {
        self.set("wallet_spend_limit_daily", amount(usdc))
    }

    /// Who approves what it spends.
    pub fn wallet_approval_mode(self, mode: ApprovalMode) -> Self {
        self.set("wallet_approval_mode", mode.as_str())
    }

    /// The hooks that it may pay: their URLs.
    pub fn wallet_allowlisted_hooks<S: Into<String>>(self, urls: impl IntoIterator<Item = S>) -> Self {
        self.set("wallet_allowlisted_hooks", Fields::list(urls))
    }

    /// Makes the change.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agent; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<()> {
        self.client.patch(["agents", self.id.as_str(), "config"])?.body(&self.body)?.done()
    }
}

/// Whole numbers as such: `10`, not `10.0`.
fn amount(usdc: f64) -> Value {
    if usdc.fract() == 0.0 && (0.0..1e15).contains(&usdc) {
        return Value::from(usdc as u64);
    }
    Value::from(usdc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_meant_is_sent_under_its_own_key() {
        fn json(value: &impl Serialize) -> String {
            serde_json::to_string(value).unwrap()
        }
        assert_eq!(json(&NewOwner::from(&UserId::from("usr-1"))), r#"{"newOwnerId":"usr-1"}"#);
        assert_eq!(json(&NewOwner::from("@bob")), r#"{"newOwnerUsername":"bob"}"#);
        assert_eq!(json(&AgentRef::from(&AgentId::from("usr-9"))), r#"{"agentId":"usr-9"}"#);
        assert_eq!(json(&AgentRef::from("mybot")), r#"{"username":"mybot"}"#);
    }
}
