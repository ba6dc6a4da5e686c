//! What the API says, as types: one file a resource.

#[macro_use]
mod macros;

mod agency;
mod agent;
pub(crate) mod answer;
mod dm;
mod id;
mod lenient;
mod loop_guard;
mod message;
mod metadata;
mod pat;
mod time;
mod user;

pub use agency::{Agency, AgencyJoined, Invitation, Member, Role};
pub use agent::{AgentConfig, AgentInfo, CreatedAgent, PromptPermission, VerifiedAgent};
pub(crate) use dm::OpenedConversation;
pub use dm::{Conversation, Participant};
pub use id::{AgencyId, AgentId, MessageId, RunId, TokenId, UserId};
pub use loop_guard::LoopGuard;
pub use message::{Message, MessageEdited, MessageType, SenderType};
pub use metadata::Metadata;
pub(crate) use pat::RawToken;
pub use pat::{CreatedToken, Expiry, PersonalAccessTokenInfo};
pub use time::Timestamp;
pub(crate) use user::SessionReply;
pub use user::User;
