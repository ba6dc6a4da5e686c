//! Invites and skills of an agency.

use super::lenient::Count;
use super::{AgencyId, Timestamp};

api_struct! {
    /// An invite to an agency that was just made.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Invite {
        /// What the invited one redeems. Whoever has it can come in.
        code: String = required("code" | "invite_code" | "inviteCode"),
        /// How often it can be redeemed. `None` if the server did not say.
        max_uses: Option<u64> = optional("maxUses" | "max_uses" as Count),
        /// When it ends. `None` if it does not, or the server did not say.
        expires_at: Option<Timestamp> = optional("expires_at" | "expiresAt" | "expires"),
    }
}

api_struct! {
    /// The answer to redeeming an invite.
    pub(crate) secret struct RedeemedInvite {
        /// The agency one is a member of now.
        agency_id: AgencyId = required("agencyId" | "agency_id"),
    }
}

api_struct! {
    /// Something an agency can do for its members, once installed: `echo`, `dice`.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Skill {
        /// What it is installed by.
        name: String = required("name"),
        /// What it does.
        description: Option<String> = optional("description"),
    }
}

api_struct! {
    /// The skills of an agency.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Skills {
        /// Those that are installed.
        installed: Vec<Skill> = default("installed"),
        /// Those that can be.
        available: Vec<Skill> = default("available"),
    }
}
