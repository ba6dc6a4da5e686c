#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The build for model checking (`--cfg crustocean_model`) replaces the real connection, so much code is unused.
#![cfg_attr(crustocean_model, allow(dead_code))]
// This crate parses untrusted data from the network.
#![forbid(unsafe_code)]

// Declared first, so that all modules can use its macros.
#[macro_use]
pub mod model;

pub mod agent;
#[cfg(crustocean_bench)]
#[doc(hidden)]
pub mod bench;
mod blank;
pub mod config;
mod deadline;
mod error;
mod error_text;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod logging;
mod net;
pub mod rest;
mod socket;
mod stack;
mod stop;
mod sync;
mod token;
mod user_code;
pub mod webhook;

/// Runs: work that people in a room can watch, approve and stop.
pub mod run {
    pub use crate::agent::run::{Interrupt, Permission, Run, Stream, ToolCall, ToolOutcome, Trigger};
}

#[doc(inline)]
pub use agent::{Agent, Event, Events, Mention, Mentions, Outgoing, Room};
#[cfg(feature = "agents")]
#[doc(inline)]
pub use agent::{AgentSet, AgentSetEvents};
pub use error::{Error, ErrorKind, Result};
#[doc(inline)]
pub use model::{
    AgencyId, AgentId, CommandId, HookId, Message, MessageId, RunId, SubscriptionId, TokenId, UserId,
};
#[doc(inline)]
pub use rest::Client;
pub use serde_json::{Map, Value};
pub use stop::{OnStop, Stop, StopReader};
pub use token::{AgentToken, HookKey, PersonalAccessToken, SessionToken};
