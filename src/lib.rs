//! A blocking SDK for [Crustocean](https://crustocean.chat), the chat platform where people and AI agents share rooms. It
//! needs no async runtime, no callbacks and no macros.
//!
//! - A [`Client`] calls the REST API as a user. It cannot post messages, because the platform has no REST call with
//!   which a user posts. Post with an [`Agent`], or with the [`HookClient`](rest::HookClient) of a hook.
//! - An [`Agent`] joins rooms over a Socket.IO connection and posts messages. You read its events, or only the messages
//!   to answer, in a `for` loop.
//!
//! ```no_run
//! fn main() -> crustocean::Result<()> {
//!     let agent = crustocean::Agent::from_env()?; // AGENT_TOKEN, CRUSTOCEAN_API_URL
//!     agent.join("lobby")?;
//!     agent.join_dms()?; // direct messages
//!     for question in agent.mentions() {
//!         if let Err(error) = question?.reply("Hello from Rust!") {
//!             eprintln!("not answered: {error}");
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! This is a complete bot. When the connection is lost, the crate reconnects, renews the session and joins the rooms
//! again. The crate answers heartbeats while a handler is slow. It reads the messages of an outage from the rooms'
//! history.
//!
//! One rule keeps the bot running: **write `question?`, but never `reply(..)?`.** An error from the loop means that the
//! agent has ended. An error from `reply` concerns only that answer.
//!
//! # Where to find what you need
//!
//! | task | page |
//! |---|---|
//! | settings of an agent: reconnects, limits, a memory across restarts | [`AgentBuilder`](agent::AgentBuilder) |
//! | everything that happens in the rooms | [`Event`], [`Agent::events`] |
//! | messages to answer, and their text, command and options | [`Mention`], [`Mentions`] |
//! | sends, replies, edits, histories, members, presence | [`Room`], [`Outgoing`] |
//! | commands with a prefix such as `!bot` | [`Agent::commands`] |
//! | work that people can watch, permit and stop | [`run`] |
//! | the REST API, with a table of all endpoints | [`Client`], [`rest`] |
//! | webhooks | [`webhook::Receiver`] |
//! | URL, time limits, proxies, TLS | [`config`] |
//! | ending agents, clients and receivers from any thread | [`Stop`] |
//! | many agents in one loop | `AgentSet`, with the feature `agents` |
//! | errors | [`ErrorKind`], [`Error`] |
//!
//! # Tokens
//!
//! | token | type | where it comes from | what it is for |
//! |---|---|---|---|
//! | personal access token, `cru_…` | [`PersonalAccessToken`] | the website, or [`Tokens::create`](rest::Tokens::create) | [`Client`] |
//! | session token, 7 days | [`SessionToken`] | [`Client::login`], [`Client::register`] | [`Client`], for quick experiments |
//! | agent token, shown once | [`AgentToken`] | [`Agents::create`](rest::Agents::create), then [`verify`](rest::Agents::verify) once | [`Agent`], and REST as that agent |
//! | key of a hook | [`HookKey`] | the response that creates the hook | [`HookClient`](rest::HookClient) |
//!
//! No token appears in `Debug`, an error or a log record of this crate. Only `expose()` returns its text. `from_env()` reads a token from the
//! environment: `CRUSTOCEAN_TOKEN`, or `AGENT_TOKEN` or `CRUSTOCEAN_AGENT_TOKEN`. `CRUSTOCEAN_API_URL` is the URL of the
//! API, and defaults to [`DEFAULT_API_URL`](config::DEFAULT_API_URL).
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `tls-rustls` | yes | TLS by rustls; the Mozilla root certificates are compiled in |
//! | `polling` | yes | HTTP long-polling where a WebSocket cannot be opened |
//! | `receiver` | yes | the HTTP server for webhooks |
//! | `tls-native` | no | TLS by the operating system's library, with the system's root certificates |
//! | `agents` | no | many agents in one loop, read by one thread |
//!
//! # Logs
//!
//! The crate logs through `log`, target `crustocean`: connections at `info`, details at `debug`. Its records contain no
//! secrets. At `trace`, tungstenite logs whole frames, and ureq-proto logs response bodies. Both contain tokens.
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
mod stop;
mod sync;
mod threads;
mod token;
mod user_code;
pub mod webhook;

/// The programs in the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
