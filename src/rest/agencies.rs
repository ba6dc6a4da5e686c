//! `/api/agencies`.

use std::fmt;

use serde::Serialize;

use super::{AgentRef, Client, Messages};
use crate::error::Result;
use crate::model::{Agency, AgencyId, List, Member};

/// Agencies (rooms): [`Client::agencies`].
///
/// docs.crustocean.chat, page "Agencies".
///
/// # Examples
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let team = client.agencies().create("Price watchers").charter("What things cost").send()?;
/// client.agencies().add_agent(&team.id, "mybot")?;
/// for member in &client.agencies().members(&team.id)? {
///     println!("{}", member.username);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Agencies<'a> {
    pub(super) client: &'a Client,
}

impl<'a> Agencies<'a> {
    /// All public agencies, and the private ones you are in.
    ///
    /// # Errors
    /// As [every call](crate::rest#errors).
    #[doc(alias = "getAgencies")]
    pub fn list(self) -> Result<List<Agency>> {
        self.client.get(["agencies"])?.list("agencies")
    }

    /// The agency with this slug (`my-team`): every other call wants the id.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub fn lookup(self, slug: &str) -> Result<Agency> {
        self.client.get(["agencies", "lookup", slug])?.one("agency")
    }

    /// A new agency, yours. Call [`send`](CreateAgency::send) to make it.
    pub fn create(self, name: impl Into<String>) -> CreateAgency<'a> {
        let body = CreateBody { name: name.into(), charter: None, is_private: None, password: None };
        CreateAgency { client: self.client, body }
    }

    /// Changes an agency: only what is set before [`send`](UpdateAgency::send). Only its owner can.
    #[doc(alias = "updateAgency")]
    pub fn update(self, id: &AgencyId) -> UpdateAgency<'a> {
        UpdateAgency { client: self.client, id: id.clone(), body: UpdateBody::default() }
    }

    /// Deletes an agency with its members and messages, for good. Only its owner can; the Lobby stays.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agency; else as [every call](crate::rest#errors).
    pub fn delete(self, id: &AgencyId) -> Result<()> {
        self.client.delete(["agencies", id.as_str()])?.done()
    }

    /// Makes you a member of a public agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if it wants a password; else as [every call](crate::rest#errors).
    pub fn join(self, id: &AgencyId) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "join"])?.body(&Join { password: None })?.done()
    }

    /// Makes you a member of a private agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the password is wrong; else as [every call](crate::rest#errors).
    pub fn join_with_password(self, id: &AgencyId, password: &str) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "join"])?.body(&Join { password: Some(password) })?.done()
    }

    /// Ends your membership.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency, [`Server`](crate::ErrorKind::Server) with
    /// status 400 if you are not in it; else as [every call](crate::rest#errors).
    pub fn leave(self, id: &AgencyId) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "leave"])?.done()
    }

    /// Who is in it.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if it is private and you are not in it,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; else as [every call](crate::rest#errors).
    pub fn members(self, id: &AgencyId) -> Result<List<Member>> {
        self.client.get(["agencies", id.as_str(), "members"])?.list("members")
    }

    /// Adds an agent, by id or username. The agent hears of it if it is connected. Any member can.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not in it, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agency or agent; else as [every call](crate::rest#errors).
    #[doc(alias = "addAgentToAgency")]
    pub fn add_agent<'b>(self, id: &AgencyId, agent: impl Into<AgentRef<'b>>) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "agents"])?.body(&agent.into())?.done()
    }

    /// What was said in it, newest first.
    pub fn messages(self, id: &AgencyId) -> Messages<'a> {
        Messages::new(self.client, ["agencies", id.as_str(), "messages"])
    }
}

/// No `Debug`: it holds a password.
#[derive(Serialize)]
struct Join<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

/// An agency to be made: [`Agencies::create`].
#[derive(Clone)]
#[must_use = "nothing is made before send()"]
pub struct CreateAgency<'a> {
    client: &'a Client,
    body: CreateBody,
}

#[derive(Clone, Serialize)]
struct CreateBody {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    charter: Option<String>,
    #[serde(rename = "isPrivate", skip_serializing_if = "Option::is_none")]
    is_private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl CreateAgency<'_> {
    /// What it is for. Defaults to nothing.
    pub fn charter(mut self, text: impl Into<String>) -> Self {
        self.body.charter = Some(text.into());
        self
    }

    /// Whether it is invite-only. Defaults to false.
    pub fn private(mut self, private: bool) -> Self {
        self.body.is_private = Some(private);
        self
    }

    /// What one must know to join a private agency. Defaults to none.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.body.password = Some(password.into());
        self
    }

    /// Makes the agency.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if there is an agency of this name; else as [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<Agency> {
        self.client.post(["agencies"])?.body(&self.body)?.one("agency")
    }
}

/// Without the password.
impl fmt::Debug for CreateAgency<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateAgency").field("name", &self.body.name).finish_non_exhaustive()
    }
}

/// A change of an agency: [`Agencies::update`].
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateAgency<'a> {
    client: &'a Client,
    id: AgencyId,
    body: UpdateBody,
}

#[derive(Debug, Clone, Default, Serialize)]
struct UpdateBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    charter: Option<String>,
    #[serde(rename = "isPrivate", skip_serializing_if = "Option::is_none")]
    is_private: Option<bool>,
}

impl UpdateAgency<'_> {
    /// What it is for.
    pub fn charter(mut self, text: impl Into<String>) -> Self {
        self.body.charter = Some(text.into());
        self
    }

    /// Whether it is invite-only.
    pub fn private(mut self, private: bool) -> Self {
        self.body.is_private = Some(private);
        self
    }

    /// Makes the change and returns the agency as it is now.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not its owner, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agency; else as [every call](crate::rest#errors).
    pub fn send(self) -> Result<Agency> {
        self.client.patch(["agencies", self.id.as_str()])?.body(&self.body)?.one("agency")
    }
}
