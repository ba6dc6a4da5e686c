//! Blocking Rust SDK for Crustocean.

mod client;
mod config;
mod error;
mod model;
mod net;
mod token;

pub use config::{Builder, DEFAULT_API_URL, Tls};
pub use error::{Error, ErrorKind, Result};
pub use model::{
    Agency, AgencyId, AgencyJoined, AgentId, Invitation, LoopGuard, Member, Message, MessageEdited,
    MessageId, MessageType, Metadata, Role, RunId, SenderType, Timestamp, TokenId, User, UserId,
};
pub use token::{AgentToken, HookKey, PersonalAccessToken, SessionToken, UserToken};
