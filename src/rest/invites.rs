//! Invites and skills of agencies (`/api/agencies`).

use std::time::Duration;

use super::fields::RequestFields;
use super::{Agencies, Client};
use crate::error::{Error, Result};
use crate::model::{AgencyId, Invite, RedeemedInvite, Skills, answer};

impl<'a> Agencies<'a> {
    /// Creates an invite to an agency, when [`send`](CreateInvite::send) is called.
    #[doc(alias = "createInvite")]
    pub fn invite(self, id: &AgencyId) -> CreateInvite<'a> {
        CreateInvite { client: self.client, id: id.clone(), body: RequestFields::default(), expires: None }
    }

    /// Redeems an invite: you become a member of its agency. Returns the agency's id.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) or [`Server`](crate::ErrorKind::Server) if the invite has expired or is
    /// used up; otherwise the kinds of [every call](crate::rest#errors).
    pub fn redeem_invite(self, code: &str) -> Result<AgencyId> {
        let body = RequestFields::default().with("code", code);
        let call = self.client.post(["agencies", "invite", "redeem"])?.body(&body)?;
        Ok(call.one::<RedeemedInvite>("invite")?.agency_id)
    }

    /// Lists the installed skills of an agency, and the skills that the agency can install.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    pub fn skills(self, id: &AgencyId) -> Result<Skills> {
        self.client.get(["agencies", id.as_str(), "skills"])?.one("skills")
    }

    /// Installs a skill (`echo`, `analyze`, `dice`, `greet`) in an agency.
    ///
    /// # Errors
    /// [`Forbidden`](crate::ErrorKind::Forbidden) if you may not manage the agency,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such agency; otherwise the kinds of [every
    /// call](crate::rest#errors).
    #[doc(alias = "installSkill")]
    pub fn install_skill(self, id: &AgencyId, name: &str) -> Result<()> {
        let body = RequestFields::default().with("skillName", name);
        self.client.post(["agencies", id.as_str(), "skills"])?.body(&body)?.done()
    }
}

/// A new invite. Returned by [`Agencies::invite`].
///
/// ```no_run
/// use std::time::Duration;
///
/// # fn demo(client: crustocean::Client, team: crustocean::AgencyId) -> crustocean::Result<()> {
/// let invite = client.agencies().invite(&team).max_uses(5).expires_in(Duration::from_secs(24 * 60 * 60)).send()?;
/// println!("join with the code {}", invite.code);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is created before send()"]
pub struct CreateInvite<'a> {
    client: &'a Client,
    id: AgencyId,
    body: RequestFields,
    expires: Option<Duration>,
}

impl CreateInvite<'_> {
    /// Sets how often the invite can be redeemed. Defaults to the server's default.
    pub fn max_uses(self, count: u32) -> Self {
        CreateInvite { body: self.body.with("maxUses", count), ..self }
    }

    /// Sets how long the invite is valid, in whole minutes. Defaults to the server's default.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires = Some(time);
        self
    }

    /// Creates the invite.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if the time is not a whole number of minutes; otherwise the kinds of
    /// [every call](crate::rest#errors).
    pub fn send(self) -> Result<Invite> {
        let body = match self.expires {
            Some(time) => self.body.with("expires", spelled(time)?),
            None => self.body,
        };
        let call = self.client.post(["agencies", self.id.as_str(), "invites"])?.body(&body)?;
        call.read_credential(|json| answer::one(json, "invite"))
    }
}

/// The time in the API's notation: `30m`, `24h`, `7d`.
fn spelled(time: Duration) -> Result<String> {
    let minutes = time.as_secs() / 60;
    if minutes == 0 || time != Duration::from_secs(minutes * 60) {
        return Err(Error::invalid("an invite is valid for a whole number of minutes, at least 1"));
    }
    Ok(match minutes {
        // The documentation writes one day as "24h".
        2880.. if minutes.is_multiple_of(1440) => format!("{}d", minutes / 1440),
        _ if minutes.is_multiple_of(60) => format!("{}h", minutes / 60),
        _ => format!("{minutes}m"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spelled_as_documented() {
        for (minutes, expected) in
            [(30, "30m"), (90, "90m"), (60, "1h"), (1440, "24h"), (7 * 1440, "7d"), (1500, "25h")]
        {
            assert_eq!(spelled(Duration::from_secs(minutes * 60)).unwrap(), expected);
        }
        for bad in [Duration::ZERO, Duration::from_secs(59), Duration::from_millis(60_001)] {
            assert!(spelled(bad).is_err(), "{bad:?}");
        }
        assert!(spelled(Duration::MAX).is_err());
    }
}
