//! Types of the API's data, one file per resource.
//!
//! Every type of the API's data implements `Serialize`, except the types that hold a credential. The crate only reads these, so that no
//! program stores a credential by accident: [`Bootstrapped`], [`BootstrappedUser`], [`BootstrappedToken`],
//! [`CreatedAgent`], [`CreatedCommand`], [`CreatedToken`], [`DeployedHook`], [`NewAgent`], [`RegisteredAgent`] and
//! [`VerifiedAgent`]. A [`Subscription`] is serialised without its secret. To store a credential, serialise the text
//! that its `expose()` returns.

#[macro_use]
mod open_enum;
#[macro_use]
pub(crate) mod serde_helpers;

mod agency;
mod agent;
pub(crate) mod answer;
mod command;
mod command_reply;
mod dm;
mod explore;
mod hook;
mod hosted;
mod id;
mod invite;
pub(crate) mod label;
mod list;
mod loop_guard;
mod message;
mod message_builder;
mod metadata;
mod onboarding;
mod pat;
mod received;
mod request;
mod rich;
mod run;
mod time;
mod trace;
mod user;
mod wallet;
pub(crate) mod webhook;

pub use agency::{Agency, AgencyJoined, Invitation, Member, Role};
pub use agent::{AgentConfig, AgentInfo, ApprovalMode, CreatedAgent, PromptPermission, VerifiedAgent};
pub use command::{CreatedCommand, CustomCommand, ExploreMetadata, InvokePermission};
pub(crate) use command::{KeyReply, MaybeKeyReply};
pub use command_reply::CommandReply;
pub(crate) use dm::OpenedConversation;
pub use dm::{Conversation, Participant};
pub use explore::{AgencyListing, AgentListing, Capabilities, PlatformCommand, UserListing};
pub use hook::{DeployedHook, Hook, HookCommand, HookSource};
pub use hosted::HostedConfig;
pub use id::{AgencyId, AgentId, CommandId, HookId, MessageId, RunId, SubscriptionId, TokenId, UserId};
pub(crate) use invite::RedeemedInvite;
pub use invite::{Invite, Skill, Skills};
pub use list::List;
pub use loop_guard::LoopGuard;
pub(crate) use message::PostedMessage;
pub use message::{Message, MessageEdited, MessageType, SenderType};
pub use message_builder::MessageBuilder;
pub use metadata::Metadata;
pub use onboarding::{
    Bootstrapped, BootstrappedToken, BootstrappedUser, ClaimableAgent, NewAgent, PendingClaim,
    RegisteredAgent,
};
pub(crate) use pat::RawToken;
pub use pat::{CreatedToken, Expiry, PersonalAccessTokenInfo};
pub use received::{HookCall, HookCaller, PromptRequest, PromptedAgent, WebhookDelivery};
pub use request::Request;
pub use rich::{Color, Span, Style};
pub(crate) use run::Transcript;
pub use run::{InterruptAction, RunInfo, RunRecord, TranscriptEntry, TranscriptStep};
pub use time::Timestamp;
pub use trace::{TraceReport, TraceStatus, TraceStep};
pub(crate) use user::SessionReply;
pub use user::User;
pub use wallet::{Balances, Network, Payment, RegisteredWallet, WalletAddress, WalletInfo};
pub use webhook::{Subscription, WebhookEvent, WebhookEventType};
