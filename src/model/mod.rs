//! What the API says, as types: one file a resource.

#[macro_use]
mod macros;

mod agency;
mod id;
mod lenient;
mod loop_guard;
mod message;
mod metadata;
mod time;
mod user;

pub use agency::{Agency, AgencyJoined, Invitation, Member, Role};
pub use id::{AgencyId, AgentId, MessageId, RunId, TokenId, UserId};
pub use loop_guard::LoopGuard;
pub use message::{Message, MessageEdited, MessageType, SenderType};
pub use metadata::Metadata;
pub use time::Timestamp;
pub use user::User;
