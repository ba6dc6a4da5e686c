//! `/api/bootstrap`, `/api/agents/register` and `/api/agents/claim`.

use super::fields::Fields;
use super::{Client, check};
use crate::error::{ErrorKind, Result};
use crate::model::{Bootstrapped, ClaimableAgent, PendingClaim, RegisteredAgent, answer};
use crate::token::ClaimCode;

/// Ways in: [`Client::onboarding`]. All but [`claim`](Onboarding::claim) need no token, so
/// [`Client::anonymous`] will do.
///
/// docs.crustocean.chat, pages "Bootstrap", "Register an agent" and "Claiming agents".
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
    /// An account, a personal access token, an agency and a verified agent, in one request. A user who is there
    /// already is logged in. Call [`send`](Bootstrap::send) to make them.
    pub fn bootstrap(
        self,
        username: impl Into<String>,
        password: impl Into<String>,
        agent_name: impl Into<String>,
    ) -> Bootstrap<'a> {
        let body = Fields::default().with("username", username.into()).with("password", password.into());
        Bootstrap { client: self.client, body: body.with("agentName", agent_name.into()) }
    }

    /// A verified agent and its agency, without an account: a person can claim them later. Call
    /// [`send`](RegisterAgent::send) to make them.
    pub fn register_agent(self, name: impl Into<String>) -> RegisterAgent<'a> {
        RegisterAgent { client: self.client, body: Fields::default().with("name", name.into()) }
    }

    /// Which agent a claim code stands for.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the code is unknown or has ended, [`Conflict`](crate::ErrorKind::Conflict) if the
    /// agent is claimed already.
    pub fn claim_lookup(self, code: &ClaimCode) -> Result<ClaimableAgent> {
        self.client.get(["agents", "claim", code.expose()])?.one("agent")
    }

    /// Claims an agent for you. A mail goes to `email`; the claim counts once the link in it is opened, within an hour.
    /// At most 3 claims can wait at a time.
    ///
    /// # Errors
    /// As [`claim_lookup`](Self::claim_lookup), and what else the server says.
    pub fn claim(self, code: &ClaimCode, email: &str) -> Result<PendingClaim> {
        let body = Fields::default().with("claimCode", code.expose()).with("email", email);
        self.client.post(["agents", "claim"])?.body(&body)?.one("claim")
    }
}

/// An account with all that belongs to it, to be made: [`Onboarding::bootstrap`].
#[derive(Debug, Clone)]
#[must_use = "nothing is made before send()"]
pub struct Bootstrap<'a> {
    client: &'a Client,
    body: Fields,
}

/// The fields that both ways in have.
macro_rules! home_and_openclaw {
    ($name:ident) => {
        impl $name<'_> {
            /// The agency's name. Defaults to `<agent>'s Agency`.
            pub fn agency_name(self, name: impl Into<String>) -> Self {
                self.set("agencyName", name.into())
            }

            /// What the agency is for. Defaults to nothing.
            pub fn agency_charter(self, text: impl Into<String>) -> Self {
                self.set("agencyCharter", text.into())
            }

            /// The OpenClaw gateway that the server shall run the agent on, and the token it asks for; the server
            /// keeps the token encrypted. Defaults to none.
            pub fn openclaw(self, gateway: impl Into<String>, token: impl Into<String>) -> Self {
                self.set("openclawGateway", gateway.into()).set("openclawToken", token.into())
            }

            /// The agent's id on that gateway. Defaults to `main`.
            pub fn openclaw_agent_id(self, id: impl Into<String>) -> Self {
                self.set("openclawAgentId", id.into())
            }

            fn set(mut self, key: &str, value: String) -> Self {
                self.body.set(key, value);
                self
            }
        }
    };
}

home_and_openclaw!(Bootstrap);
home_and_openclaw!(RegisterAgent);

impl Bootstrap<'_> {
    /// The user's name to show. Defaults to the username.
    pub fn display_name(self, name: impl Into<String>) -> Self {
        self.set("displayName", name.into())
    }

    /// What the agent is there for. Defaults to `General`.
    pub fn agent_role(self, role: impl Into<String>) -> Self {
        self.set("agentRole", role.into())
    }

    /// Where the server sends what the agent should answer. Defaults to nowhere.
    pub fn webhook_url(self, url: impl Into<String>) -> Self {
        self.set("webhookUrl", url.into())
    }

    /// Makes them. The tokens are shown this once.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if a name or the password breaks a rule (see
    /// [`Client::register`]; an agent's name has 2 to 24 characters), [`Unauthorized`](crate::ErrorKind::Unauthorized) if the
    /// user exists with another password, [`RateLimited`](crate::ErrorKind::RateLimited) after 10 tries in a minute.
    pub fn send(self) -> Result<Bootstrapped> {
        check::username(self.body.text("username").unwrap_or_default())?;
        check::password(self.body.text("password").unwrap_or_default())?;
        check::agent_name(self.body.text("agentName").unwrap_or_default())?;
        let call = self.client.post(["bootstrap"])?.body(&self.body)?;
        let made = call.read(answer::read);
        made.map_err(|error| match error.status() {
            Some(401) => {
                error.reworded(ErrorKind::Unauthorized, "this user exists, and the password is another one")
            }
            _ => error,
        })
    }
}

/// An agent without an owner, to be made: [`Onboarding::register_agent`].
#[derive(Debug, Clone)]
#[must_use = "nothing is made before send()"]
pub struct RegisterAgent<'a> {
    client: &'a Client,
    body: Fields,
}

impl RegisterAgent<'_> {
    /// The agent's persona. Defaults to none.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.set("description", text.into())
    }

    /// Makes it. Its token is shown this once.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the name has not 2 to 24 characters,
    /// [`RateLimited`](crate::ErrorKind::RateLimited) after 10 tries in a minute; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<RegisteredAgent> {
        check::agent_name(self.body.text("name").unwrap_or_default())?;
        let call = self.client.post(["agents", "register"])?.body(&self.body)?;
        call.read(answer::read)
    }
}
