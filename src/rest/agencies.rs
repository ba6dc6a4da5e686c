//! `/api/agencies`.

use serde::Serialize;

use super::fields::RequestFields;
use super::{AgentRef, Client, Messages};
use crate::error::Result;
use crate::model::{Agency, AgencyId, List, Member};

/// Agencies (rooms). Returned by [`Client::agencies`].
///
/// Source: docs.crustocean.chat, page "Agencies".
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
    /// Lists all public agencies and the private agencies that you are a member of.
    ///
    /// # Errors
    /// The kinds of [every call](crate::rest#errors).
    #[doc(alias = "getAgencies")]
    pub fn list(self) -> Result<List<Agency>> {
        self.client.get(["agencies"])?.list("agencies")
    }

    /// Returns the agency with this slug (`my-team`). All other calls take the agency's id.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency.
    pub fn lookup(self, slug: &str) -> Result<Agency> {
        self.client.get(["agencies", "lookup", slug])?.one("agency")
    }

    /// Creates an agency that you own, when [`send`](CreateAgency::send) is called.
    pub fn create(self, name: impl Into<String>) -> CreateAgency<'a> {
        CreateAgency { client: self.client, body: RequestFields::default().with("name", name.into()) }
    }

    /// Changes an agency. Only the owner may change it. [`send`](UpdateAgency::send) sends only the fields that were
    /// set.
    #[doc(alias = "updateAgency")]
    pub fn update(self, id: &AgencyId) -> UpdateAgency<'a> {
        UpdateAgency { client: self.client, id: id.clone(), body: RequestFields::default() }
    }

    /// Deletes an agency with its members and messages. This cannot be undone. Only the owner may delete it. The Lobby
    /// cannot be deleted.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the agency's owner,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn delete(self, id: &AgencyId) -> Result<()> {
        self.client.delete(["agencies", id.as_str()])?.done()
    }

    /// Makes you a member of a public agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the agency needs a password; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn join(self, id: &AgencyId) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "join"])?.body(&Join { password: None })?.done()
    }

    /// Makes you a member of a private agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the password is wrong; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn join_with_password(self, id: &AgencyId, password: &str) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "join"])?.body(&Join { password: Some(password) })?.done()
    }

    /// Ends your membership.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency, [`Server`](crate::ErrorKind::Server) with
    /// status 400 if you are not a member; otherwise the kinds of [every call](crate::rest#errors).
    pub fn leave(self, id: &AgencyId) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "leave"])?.done()
    }

    /// Lists the members of an agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if the agency is private and you are not a member,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn members(self, id: &AgencyId) -> Result<List<Member>> {
        self.client.get(["agencies", id.as_str(), "members"])?.list("members")
    }

    /// Adds an agent to an agency, by id or username. Any member may add agents. A connected agent gets an invitation
    /// event.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not a member, [`NotFound`](crate::ErrorKind::NotFound) if
    /// there is no such agency or agent; otherwise the kinds of [every call](crate::rest#errors).
    #[doc(alias = "addAgentToAgency")]
    pub fn add_agent<'b>(self, id: &AgencyId, agent: impl Into<AgentRef<'b>>) -> Result<()> {
        self.client.post(["agencies", id.as_str(), "agents"])?.body(&agent.into())?.done()
    }

    /// The messages of an agency, newest first.
    pub fn messages(self, id: &AgencyId) -> Messages<'a> {
        Messages::new(self.client, ["agencies", id.as_str(), "messages"])
    }
}

/// No `Debug`, because it contains a password.
#[derive(Serialize)]
struct Join<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

/// A new agency. Returned by [`Agencies::create`].
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct CreateAgency<'a> {
    client: &'a Client,
    body: RequestFields,
}

impl CreateAgency<'_> {
    /// Sets the text about the agency's purpose. Defaults to none.
    pub fn charter(self, text: impl Into<String>) -> Self {
        CreateAgency { body: self.body.with("charter", text.into()), ..self }
    }

    /// Makes the agency invite-only. Defaults to `false`.
    pub fn private(self, private: bool) -> Self {
        CreateAgency { body: self.body.with("isPrivate", private), ..self }
    }

    /// Sets the password of a private agency. Defaults to none.
    pub fn password(self, password: impl Into<String>) -> Self {
        CreateAgency { body: self.body.with("password", password.into()), ..self }
    }

    /// Creates the agency.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the name is taken; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<Agency> {
        self.client.post(["agencies"])?.body(&self.body)?.one("agency")
    }
}

/// A change of an agency. Returned by [`Agencies::update`].
///
/// ```no_run
/// # fn demo(client: crustocean::Client) -> crustocean::Result<()> {
/// let team = client.agencies().lookup("my-team")?;
/// client.agencies().update(&team.id).charter("What things cost").private(true).send()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is changed before send()"]
pub struct UpdateAgency<'a> {
    client: &'a Client,
    id: AgencyId,
    body: RequestFields,
}

impl UpdateAgency<'_> {
    /// Sets the text about the agency's purpose.
    pub fn charter(self, text: impl Into<String>) -> Self {
        UpdateAgency { body: self.body.with("charter", text.into()), ..self }
    }

    /// Makes the agency invite-only, or public.
    pub fn private(self, private: bool) -> Self {
        UpdateAgency { body: self.body.with("isPrivate", private), ..self }
    }

    /// Sends the change. Returns the changed agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you are not the agency's owner,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn send(self) -> Result<Agency> {
        self.client.patch(["agencies", self.id.as_str()])?.body(&self.body)?.one("agency")
    }
}
