//! A local Crustocean: the documented REST API and real-time events, in memory, on your own machine.
//!
//! ```
//! use crustocean_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::start()?;
//! println!("{}", sandbox.url()); // http://127.0.0.1:40123
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Bots and their tests talk to it as they talk to the platform; only the URL differs (`CRUSTOCEAN_API_URL`). A test
//! can look at what clients sent ([`Sandbox::events`]), speak as the server ([`Sandbox::emit_to_agency`]) and make it
//! misbehave ([`Sandbox::drop_links`], [`Sandbox::fail_next`]).
//!
//! As a program: `cargo run -p crustocean-sandbox -- --port 7777`; with `--demo` it has a user and an agent to begin with.
//!
//! # Where the documentation is silent
//!
//! Some of what a server must decide is not documented publicly. The sandbox does what the public clients expect:
//!
//! - A socket with a bad token gets a CONNECT error; the wording is the sandbox's own, as are most error texts.
//! - Any account may read a public agency and join its room; a private one is for its members.
//! - A finished `agent-run-stream` becomes a message with `metadata.run_id`.
//! - A failed slash command is for its caller alone.
//! - `members-updated` carries `agencyId`; `member-presence` carries `agencyId`, `userId`, `username` and `status`.
//! - There is no mail: claiming an agent takes effect at once.
//!
//! Not there: hosted language models, response webhooks, delivery to webhook subscriptions, running native hooks,
//! rate limits (see [`Sandbox::fail_next`]), and most of the platform's slash commands.
//!
//! Nothing is kept when it ends, and it guards nothing: never put it on a public network.

#![forbid(unsafe_code)]

mod accounts;
mod agencies;
mod agents;
mod auth;
mod body;
mod chat;
mod claims;
mod clock;
mod commands;
mod custom_commands;
mod deliveries;
mod deploy;
mod dms;
mod error;
mod explore;
mod faults;
mod hook_api;
mod hooks;
mod ids;
mod invoke;
mod limits;
mod links;
mod members;
mod messages;
mod metrics;
mod moderation;
mod onboarding;
mod realtime;
mod recorder;
mod respond;
mod runs;
mod sandbox;
mod seed;
mod server;
mod skills;
mod state;
mod subscriptions;
mod suspended;
mod tokens;
mod users;
mod wallet;
mod webhook;

pub use claims::ClaimMail;
pub use sandbox::{Builder, Sandbox};
pub use seed::Credentials;
pub use suspended::Suspended;
