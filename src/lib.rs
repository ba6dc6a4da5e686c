#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Not even in a corner: what this crate reads comes from the network.
#![forbid(unsafe_code)]

// First: its macros are for all.
#[macro_use]
mod json;

mod agent;
#[cfg(crustocean_bench)]
#[doc(hidden)]
pub mod bench;
mod config;
mod deadline;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod model;
mod net;
mod rest;
mod socket;
mod token;
mod webhook;

pub use agent::{
    Agent, AgentBuilder, AgentOptions, Command, Decision, Editor, Event, Events, ExchangeLimit, Interrupt,
    LongMessages, Mentions, Outgoing, Permission, Presence, Reconnect, RecvError, Room, Run, SentAway,
    Stream, Thinking, ToolCall, ToolOutcome, Trace, Transport, Trigger, is_mentioned,
};
pub use config::{Builder, DEFAULT_API_URL, Tls};
pub use error::{Error, ErrorKind, Result};
pub use model::{
    Agency, AgencyId, AgencyJoined, AgencyListing, AgentConfig, AgentId, AgentInfo, AgentListing,
    ApprovalMode, Balances, Bootstrapped, BootstrappedToken, BootstrappedUser, Capabilities, ClaimableAgent,
    Color, CommandId, CommandReply, Conversation, CreatedAgent, CreatedCommand, CreatedToken, CustomCommand,
    DeployedHook, Expiry, ExploreMetadata, Hook, HookCall, HookCaller, HookCommand, HookId, HookSource,
    HostedConfig, InterruptAction, Invitation, Invite, InvokePermission, LoopGuard, Member, Message,
    MessageEdited, MessageId, MessageType, Metadata, Network, NewAgent, Participant, Payment, PendingClaim,
    PersonalAccessTokenInfo, PlatformCommand, PromptPermission, PromptRequest, PromptedAgent,
    RegisteredAgent, RegisteredWallet, Role, RunId, RunInfo, RunRecord, SenderType, Skill, Skills, Span,
    Style, Subscription, SubscriptionId, Timestamp, TokenId, TraceReport, TraceStatus, TraceStep,
    TranscriptEntry, TranscriptStep, User, UserId, UserListing, VerifiedAgent, WalletAddress, WalletInfo,
    WebhookDelivery, WebhookEvent, WebhookEventType,
};
pub use rest::{
    Account, Agencies, AgentRef, Agents, Bootstrap, Client, ClientBuilder, ClientOptions, Commands,
    CreateAgency, CreateAgent, CreateCommand, CreateInvite, CreateSubscription, CreateToken, DeployHook, Dms,
    Explore, History, HookClient, HookClientBuilder, HookClientOptions, Hooks, Login, Messages, NewOwner,
    Onboarding, Paged, Pages, RegisterAgent, ReportPayment, Runs, Tokens, UpdateAccount, UpdateAgency,
    UpdateCommand, UpdateConfig, UpdateHook, UpdateHookSource, UpdateSubscription, Users, Wallet, Webhooks,
};
pub use socket::RawEvent;
pub use token::{
    AgentToken, ClaimCode, ClaimUrl, HookKey, MetricsKey, PersonalAccessToken, SessionToken, UserToken,
    WebhookSecret,
};
pub use webhook::{HookReply, PromptReply, SIGNATURE_HEADER, SignedReply};
