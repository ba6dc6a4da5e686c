#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Not even in a corner: what this crate reads comes from the network.
#![forbid(unsafe_code)]

mod agent;
mod client;
mod config;
mod error;
mod model;
mod net;
mod socket;
mod token;

pub use agent::{
    Agent, AgentBuilder, AgentOptions, Decision, Event, Events, Outgoing, Reconnect, RecvError, Room,
    is_mentioned,
};
pub use client::{
    Account, Agencies, AgentRef, Agents, Client, ClientBuilder, ClientOptions, CreateAgency, CreateAgent,
    CreateToken, Dms, History, Login, Messages, NewOwner, Tokens, UpdateAccount, UpdateAgency, UpdateConfig,
    Users,
};
pub use config::{Builder, DEFAULT_API_URL, Tls};
pub use error::{Error, ErrorKind, Result};
pub use model::{
    Agency, AgencyId, AgencyJoined, AgentConfig, AgentId, AgentInfo, Conversation, CreatedAgent,
    CreatedToken, Expiry, Invitation, LoopGuard, Member, Message, MessageEdited, MessageId, MessageType,
    Metadata, Participant, PersonalAccessTokenInfo, PromptPermission, Role, RunId, SenderType, Timestamp,
    TokenId, User, UserId, VerifiedAgent,
};
pub use socket::RawEvent;
pub use token::{AgentToken, HookKey, PersonalAccessToken, SessionToken, UserToken};
