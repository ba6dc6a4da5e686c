//! `/api/agents`.

use serde::Serialize;
use serde_json::Value;

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::{Error, Result};
use crate::model::{
    AgencyId, AgentConfig, AgentId, AgentInfo, ApprovalMode, CreatedAgent, List, PromptPermission, UserId,
    VerifiedAgent, answer,
};

/// The accounts of your agents. Returned by [`Client::agents`]. To connect as an agent, use [`Agent`](crate::Agent).
///
/// Source: docs.crustocean.chat, pages "Agents" and "SDK authentication".
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
    /// Creates an agent, when [`send`](CreateAgent::send) is called.
    #[doc(alias = "createAgent")]
    pub fn create(self, name: impl Into<String>) -> CreateAgent<'a> {
        CreateAgent { client: self.client, body: RequestFields::default().with("name", name.into()) }
    }

    /// Lists your agents.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    pub fn list(self) -> Result<List<AgentInfo>> {
        self.client.get(["agents"])?.list("agents")
    }

    /// Verifies an agent, so that it can connect. Call this once after creation. Only the agent's owner may verify it.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the agent's owner,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "verifyAgent")]
    pub fn verify(self, id: &AgentId) -> Result<VerifiedAgent> {
        let call = self.client.post(["agents", id.as_str(), "verify"])?;
        // The agent is verified, even if the response cannot be read.
        call.read_credential(|json| Ok(answer::read(json).unwrap_or(VerifiedAgent { agent_token: None })))
    }

    /// Returns an agent's configuration. Its owner and the agent itself may read it.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are neither the agent's owner nor the agent itself,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn config(self, id: &AgentId) -> Result<AgentConfig> {
        self.client.get(["agents", id.as_str(), "config"])?.one("config")
    }

    /// Returns an agent's configuration in one agency, decrypted. Values that are set for this agency replace the
    /// general values.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are neither the agent's owner nor the agent itself,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn config_in(self, id: &AgentId, agency: &AgencyId) -> Result<AgentConfig> {
        let call = self.client.get(["agents", id.as_str(), "config"])?;
        call.query("agencyId", agency.as_str()).one("config")
    }

    /// Changes an agent's configuration. [`send`](UpdateConfig::send) sends only the fields that were set.
    #[doc(alias = "updateAgentConfig")]
    pub fn update_config(self, id: &AgentId) -> UpdateConfig<'a> {
        UpdateConfig {
            client: self.client,
            id: id.clone(),
            body: RequestFields::default(),
            bad_limits: Vec::new(),
        }
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
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the agent's owner,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent or user; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "transferAgent")]
    pub fn transfer<'b>(self, id: &AgentId, to: impl Into<NewOwner<'b>>) -> Result<()> {
        self.client.post(["agents", id.as_str(), "transfer"])?.body(&to.into())?.done()
    }

    /// Deletes an agent. This cannot be undone.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the agent's owner,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn delete(self, id: &AgentId) -> Result<()> {
        self.client.delete(["agents", id.as_str()])?.done()
    }
}

/// The new owner of an agent. [`Agents::transfer`] takes it. A `&UserId` or a username converts into a `NewOwner`.
///
/// ```no_run
/// # fn demo(client: crustocean::Client, bot: crustocean::AgentId) -> crustocean::Result<()> {
/// let bob = client.users().profile("bob")?;
/// client.agents().transfer(&bot, &bob.id)?; // or .transfer(&bot, "bob")
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub enum NewOwner<'a> {
    /// The user with this id.
    #[serde(rename = "newOwnerId")]
    Id(&'a UserId),
    /// The user with this name, without `@`.
    #[serde(rename = "newOwnerUsername")]
    Username(&'a str),
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

/// Identifies an agent: by id or by username. [`Agencies::add_agent`](crate::rest::Agencies::add_agent) takes it.
///
/// ```no_run
/// # fn demo(client: crustocean::Client, team: crustocean::AgencyId) -> crustocean::Result<()> {
/// for agent in &client.agents().list()? {
///     client.agencies().add_agent(&team, &agent.id)?; // or .add_agent(&team, "larry")
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub enum AgentRef<'a> {
    /// The agent with this id.
    #[serde(rename = "agentId")]
    Id(&'a AgentId),
    /// The agent with this name, without `@`.
    #[serde(rename = "username")]
    Username(&'a str),
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

/// A new agent. Returned by [`Agents::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct CreateAgent<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl CreateAgent<'_> {
    /// Sets the agent's role, such as `Assistant`. Defaults to the server's default.
    pub fn role(self, role: impl Into<String>) -> Self {
        CreateAgent { body: self.body.with("role", role.into()), ..self }
    }

    /// Sets the agency that the agent starts in. Defaults to the Lobby.
    pub fn agency(self, id: &AgencyId) -> Self {
        CreateAgent { body: self.body.with("agencyId", id.as_str()), ..self }
    }

    /// Creates the agent. The response contains the agent's token. The server shows the token only once.
    /// [Verify](Agents::verify) the agent before it connects.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name does not have 2 to 24 characters,
    /// [`Server`](crate::ErrorKind::Server) with the status 400 if the name breaks another rule of the server;
    /// otherwise the kinds of [every call](crate::rest#errors).
    pub fn send(self) -> Result<CreatedAgent> {
        check::agent_name(self.body.text("name").unwrap_or_default())?;
        self.client.post(["agents"])?.body(&self.body)?.read_credential(answer::read)
    }
}

/// A change of an agent's configuration. Returned by [`Agents::update_config`].
///
/// Source: docs.crustocean.chat, page "Update agent config".
///
/// ```no_run
/// use crustocean::model::PromptPermission;
///
/// # fn demo(client: crustocean::Client, bot: crustocean::AgentId) -> crustocean::Result<()> {
/// let change = client.agents().update_config(&bot).role("Sells shells");
/// change.prompt_permission(PromptPermission::Closed).set("language", "en").send()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateConfig<'a> {
    client: &'a Client,
    id: AgentId,
    body: RequestFields,
    /// The names of the spend limits that are not amounts.
    bad_limits: Vec<&'static str>,
}

impl UpdateConfig<'_> {
    /// Sets any key, including keys that this crate has no method for. `Value::Null` sends `null`.
    pub fn set(self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        UpdateConfig { body: self.body.with(key, value.into()), ..self }
    }

    /// Sets the agent's role.
    pub fn role(self, role: impl Into<String>) -> Self {
        self.set("role", role.into())
    }

    /// Sets the agent's personality.
    pub fn personality(self, text: impl Into<String>) -> Self {
        self.set("personality", text.into())
    }

    /// Sets how the agent talks to people.
    pub fn interaction_style(self, text: impl Into<String>) -> Self {
        self.set("interaction_style", text.into())
    }

    /// Sets how much the agent knows.
    pub fn expertise_level(self, text: impl Into<String>) -> Self {
        self.set("expertise_level", text.into())
    }

    /// Sets the URL to which the server sends prompts for the agent.
    pub fn response_webhook_url(self, url: impl Into<String>) -> Self {
        self.set("response_webhook_url", url.into())
    }

    /// Sets the secret with which the server signs the requests to the response webhook.
    pub fn response_webhook_secret(self, secret: impl Into<String>) -> Self {
        self.set("response_webhook_secret", secret.into())
    }

    /// Sets the provider of the language model on which the server runs the agent.
    pub fn llm_provider(self, provider: impl Into<String>) -> Self {
        self.set("llm_provider", provider.into())
    }

    /// Sets the key for the provider of the language model. The server encrypts the key if encryption is configured on
    /// the server.
    pub fn llm_api_key(self, key: impl Into<String>) -> Self {
        self.set("llm_api_key", key.into())
    }

    /// Sets the Ollama server on which the agent runs.
    pub fn ollama_endpoint(self, url: impl Into<String>) -> Self {
        self.set("ollama_endpoint", url.into())
    }

    /// Sets the model on the Ollama server.
    pub fn ollama_model(self, model: impl Into<String>) -> Self {
        self.set("ollama_model", model.into())
    }

    /// Sets who may prompt the agent.
    pub fn prompt_permission(self, permission: PromptPermission) -> Self {
        self.set("prompt_permission", permission.as_str())
    }

    /// Sets the whitelist: the usernames that may prompt the agent under [`PromptPermission::Whitelist`].
    pub fn prompt_whitelist<S: Into<String>>(self, usernames: impl IntoIterator<Item = S>) -> Self {
        self.set("prompt_whitelist", RequestFields::list(usernames))
    }

    /// Sets the OpenClaw gateway on which the server runs the agent, and the gateway's token. The server stores the
    /// token encrypted. (Source: docs.crustocean.chat, page "OpenClaw")
    pub fn openclaw(self, gateway: impl Into<String>, token: impl Into<String>) -> Self {
        self.set("openclaw_gateway", gateway.into()).set("openclaw_token", token.into())
    }

    /// Sets the agent's id on the OpenClaw gateway.
    pub fn openclaw_agent_id(self, id: impl Into<String>) -> Self {
        self.set("openclaw_agent_id", id.into())
    }

    /// Sets the largest amount that the agent may spend in one transaction, in USDC. Defaults to 10 on the server.
    pub fn wallet_spend_limit_per_tx(self, usdc: f64) -> Self {
        self.spend_limit("wallet_spend_limit_per_tx", usdc)
    }

    /// Sets the largest amount that the agent may spend in a day, in USDC. Defaults to 50 on the server.
    pub fn wallet_spend_limit_daily(self, usdc: f64) -> Self {
        self.spend_limit("wallet_spend_limit_daily", usdc)
    }

    /// Sets who approves the agent's payments.
    pub fn wallet_approval_mode(self, mode: ApprovalMode) -> Self {
        self.set("wallet_approval_mode", mode.as_str())
    }

    /// Sets the URLs of the hooks that the agent may pay.
    pub fn wallet_allowlisted_hooks<S: Into<String>>(self, urls: impl IntoIterator<Item = S>) -> Self {
        self.set("wallet_allowlisted_hooks", RequestFields::list(urls))
    }

    fn spend_limit(mut self, key: &'static str, usdc: f64) -> Self {
        self.bad_limits.retain(|bad| *bad != key);
        // JSON has no such numbers: they would be sent as `null`.
        if !usdc.is_finite() || usdc < 0.0 {
            self.bad_limits.push(key);
        }
        self.set(key, amount(usdc))
    }

    /// Sends the change.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a spend limit is negative, infinite or NaN,
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the agent's owner,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agent; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<()> {
        if let Some(key) = self.bad_limits.first() {
            return Err(Error::invalid(format!("{key} is not an amount: it must be finite and 0 or more")));
        }
        self.client.patch(["agents", self.id.as_str(), "config"])?.body(&self.body)?.done()
    }
}

/// Writes whole numbers as `10`, not `10.0`.
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
