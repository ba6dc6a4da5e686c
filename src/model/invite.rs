//! Invites and skills of an agency.

use serde::{Deserialize, Serialize};

use super::{AgencyId, List, Timestamp};

/// An invite to an agency that was just made.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Invite {
    /// What the invited one redeems. Whoever has it can come in.
    #[serde(rename(deserialize = "code|invite_code"))]
    pub code: String,
    /// How often it can be redeemed. `None` if the server did not say.
    #[serde(rename = "maxUses", skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u64>,
    /// When it ends. `None` if it does not, or the server did not say.
    #[serde(rename(deserialize = "expires_at|expires"), skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

lenient!(Invite);

/// The answer to redeeming an invite.
#[derive(Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct RedeemedInvite {
    /// The agency one is a member of now.
    #[serde(rename = "agencyId")]
    pub agency_id: AgencyId,
}

lenient!(read RedeemedInvite);

/// Something an agency can do for its members, once installed: `echo`, `dice`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Skill {
    /// What it is installed by.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

lenient!(Skill);

/// The skills of an agency.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Skills {
    /// Those that are installed.
    #[serde(default)]
    pub installed: List<Skill>,
    /// Those that can be.
    #[serde(default)]
    pub available: List<Skill>,
}

lenient!(Skills);
