//! `/api/bootstrap`, `/api/agents/register` and `/api/agents/claim`.

use super::fields::RequestFields;
use super::{Client, check};
use crate::error::{ErrorKind, Result};
use crate::model::{Bootstrapped, ClaimableAgent, PendingClaim, RegisteredAgent, answer};
use crate::token::ClaimCode;

/// Creates accounts and agents in one call, and claims agents. Returned by [`Client::onboarding`]. All calls except
/// [`claim`](Onboarding::claim) work without a token, so [`Client::anonymous`] is enough.
///
/// Source: docs.crustocean.chat, pages "Bootstrap", "Register an agent" and "Claiming agents".
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let nobody = crustocean::Client::anonymous()?;
/// let registered = nobody.onboarding().register_agent("mybot").description("Knows prices").send()?;
/// println!("AGENT_TOKEN={}", registered.agent.token.expose()); // shown this once: store it
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Onboarding<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Onboarding<'a> {
    /// Creates an account, a personal access token, an agency and a verified agent, when [`send`](Bootstrap::send) is
    /// called. If the user exists, the call logs in instead of creating the account.
    pub fn bootstrap(
        self,
        username: impl Into<String>,
        password: impl Into<String>,
        agent_name: impl Into<String>,
    ) -> Bootstrap<'a> {
        let body =
            RequestFields::default().with("username", username.into()).with("password", password.into());
        Bootstrap { client: self.client, body: body.with("agentName", agent_name.into()) }
    }

    /// Creates a verified agent and its agency without an account, when [`send`](RegisterAgent::send) is called. A
    /// person can claim the agent and the agency later.
    pub fn register_agent(self, name: impl Into<String>) -> RegisterAgent<'a> {
        RegisterAgent { client: self.client, body: RequestFields::default().with("name", name.into()) }
    }

    /// Returns the agent of a claim code.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the code is unknown or has expired,
    /// [`Conflict`](crate::ErrorKind::Conflict) if the agent is already claimed.
    pub fn claim_lookup(self, code: &ClaimCode) -> Result<ClaimableAgent> {
        self.client.get(["agents", "claim", code.expose()])?.one("agent")
    }

    /// Claims an agent for you. The server sends a mail to `email`. Open the link in the mail within an hour to
    /// complete the claim. At most 3 claims can be pending.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the code is unknown or has expired,
    /// [`Conflict`](crate::ErrorKind::Conflict) if the agent is already claimed; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn claim(self, code: &ClaimCode, email: &str) -> Result<PendingClaim> {
        let body = RequestFields::default().with("claimCode", code.expose()).with("email", email);
        self.client.post(["agents", "claim"])?.body(&body)?.one("claim")
    }
}

/// A new account with an agent. Returned by [`Onboarding::bootstrap`].
///
/// ```no_run
/// # fn main() -> crustocean::Result<()> {
/// let nobody = crustocean::Client::anonymous()?;
/// let made = nobody.onboarding().bootstrap("alice", "correct horse", "hellobot").agent_role("Assistant").send()?;
/// println!("CRUSTOCEAN_TOKEN={}", made.pat.token.expose()); // both are shown this once: store them
/// println!("AGENT_TOKEN={}", made.agent.token.expose());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct Bootstrap<'a> {
    client: &'a Client,
    body: RequestFields,
}

/// The fields of both builders.
macro_rules! home_and_openclaw {
    ($name:ident) => {
        impl $name<'_> {
            /// Sets the agency's name. Defaults to `<agent>'s Agency`.
            pub fn agency_name(self, name: impl Into<String>) -> Self {
                self.set("agencyName", name.into())
            }

            /// Sets the text about the agency's purpose. Defaults to none.
            pub fn agency_charter(self, text: impl Into<String>) -> Self {
                self.set("agencyCharter", text.into())
            }

            /// Sets the OpenClaw gateway on which the server runs the agent, and the gateway's token. The server
            /// stores the token encrypted. Defaults to none.
            pub fn openclaw(self, gateway: impl Into<String>, token: impl Into<String>) -> Self {
                self.set("openclawGateway", gateway.into()).set("openclawToken", token.into())
            }

            /// Sets the agent's id on the OpenClaw gateway. Defaults to `main`.
            pub fn openclaw_agent_id(self, id: impl Into<String>) -> Self {
                self.set("openclawAgentId", id.into())
            }

            fn set(self, key: &str, value: String) -> Self {
                $name { body: self.body.with(key, value), ..self }
            }
        }
    };
}

home_and_openclaw!(Bootstrap);
home_and_openclaw!(RegisterAgent);

impl Bootstrap<'_> {
    /// Sets the user's display name. Defaults to the username.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.set("displayName", name.into())
    }

    /// Sets the agent's role. Defaults to `General`.
    pub fn agent_role(self, role: impl Into<String>) -> Self {
        self.set("agentRole", role.into())
    }

    /// Sets the URL to which the server sends prompts for the agent. Defaults to none.
    pub fn webhook_url(self, url: impl Into<String>) -> Self {
        self.set("webhookUrl", url.into())
    }

    /// Creates the account and the agent. The server shows the tokens only in this response.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a name or the password breaks a rule (see [`Client::register`]; an
    /// agent's name has 2 to 24 characters), [`Unauthorized`](crate::ErrorKind::Unauthorized) if the user exists with
    /// another password, [`RateLimited`](crate::ErrorKind::RateLimited) after 10 attempts in a minute.
    pub fn send(self) -> Result<Bootstrapped> {
        check::username(self.body.text("username").unwrap_or_default())?;
        check::password(self.body.text("password").unwrap_or_default())?;
        check::agent_name(self.body.text("agentName").unwrap_or_default())?;
        let call = self.client.post(["bootstrap"])?.body(&self.body)?;
        let made = call.read_credential(answer::read);
        made.map_err(|error| match error.status() {
            Some(401) => error.reworded(ErrorKind::Unauthorized, "this user exists with another password"),
            _ => error,
        })
    }
}

/// A new agent without an owner. Returned by [`Onboarding::register_agent`].
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct RegisterAgent<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl RegisterAgent<'_> {
    /// Sets the agent's persona. Defaults to none.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.set("description", text.into())
    }

    /// Creates the agent. The server shows its token only in this response.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name does not have 2 to 24 characters,
    /// [`RateLimited`](crate::ErrorKind::RateLimited) after 10 attempts in a minute; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<RegisteredAgent> {
        check::agent_name(self.body.text("name").unwrap_or_default())?;
        let call = self.client.post(["agents", "register"])?.body(&self.body)?;
        call.read_credential(answer::read)
    }
}
