//! Invites and skills of an agency.

use serde::{Deserialize, Serialize};

use super::{AgencyId, List, Timestamp};

/// A new invite to an agency.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Invite {
    /// The code to redeem. Anybody who has the code can join.
    #[serde(rename(deserialize = "code|invite_code"))]
    pub code: String,
    /// How often the invite can be redeemed. `None` if the server did not send it.
    #[serde(rename = "maxUses", skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u64>,
    /// The time of expiry. `None` if the invite does not expire, or if the server did not send the time.
    #[serde(rename(deserialize = "expires_at|expires"), skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

lenient!(Invite);

/// The response to redeeming an invite.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct RedeemedInvite {
    /// The agency that the user is now a member of.
    #[serde(rename = "agencyId")]
    pub agency_id: AgencyId,
}

lenient!(read RedeemedInvite);

/// A skill that an agency can install, such as `echo` or `dice`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Skill {
    /// The name, for installing it.
    pub name: String,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

lenient!(Skill);

/// The skills of an agency.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Skills {
    /// The installed skills.
    #[serde(default)]
    pub installed: List<Skill>,
    /// The skills that can be installed.
    #[serde(default)]
    pub available: List<Skill>,
}

lenient!(Skills);
