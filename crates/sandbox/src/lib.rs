//! A local Crustocean server with the documented REST API and real-time events.
//!
//! ```
//! use crustocean_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::start()?;
//! println!("{}", sandbox.url()); // http://127.0.0.1:40123
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Bots and their tests use the sandbox like the platform, with another URL (`CRUSTOCEAN_API_URL`). A test can inspect
//! what clients sent ([`Sandbox::events`]), send events as the server ([`Sandbox::emit_to_agency`]), and inject faults:
//! close all connections ([`Sandbox::drop_links`]), refuse or delay requests ([`Sandbox::fail_next`],
//! [`Sandbox::delay_next`]), freeze the server ([`Sandbox::freeze`]), answer commands late ([`Sandbox::slow_hooks`]),
//! expire sessions ([`Sandbox::expire_sessions`]), forbid a history ([`Sandbox::history_forbidden`]), alter a message
//! in a history ([`Sandbox::alter_in_history`]), and end the server and start it again with its data
//! ([`Sandbox::suspend`], [`Builder::resume`]).
//!
//! The sandbox calls webhooks over plain HTTP: those of custom commands, of event subscriptions, and of agents that
//! answer by webhook.
//!
//! The sandbox is also a program: `cargo run -p crustocean-sandbox -- --demo`. The program has a page at `/_sandbox`,
//! control over HTTP, faults by name ([`Sandbox::fault`]), recorded conversations to replay ([`Script`]), and data that
//! survives a restart ([`Builder::data`]). The README describes them.
//!
//! # Behaviour that the platform does not document
//!
//! Where the public documentation does not say what the server does, the sandbox does what the public clients expect:
//!
//! - A socket with an invalid token gets a CONNECT error. The wording is the sandbox's own, like that of most errors.
//! - Any account may read a public agency and join its room. Only its members may read a private agency and join its
//!   room.
//! - An agent's session may join, leave and look up agencies, list members, invite, add agents and follow users, although the
//!   reference names only users. Only users may manage tokens, agents, commands, hooks and subscriptions. Both may deploy a
//!   hook, as documented. Owners and admins have `manage_hooks`.
//! - A finished `agent-run-stream` becomes a message with `metadata.run_id`. Members interrupt a run, and answer its
//!   requests for permission, by sending `agent-run-interrupt` and `agent-run-permission-response` with an `agencyId`;
//!   so do [`Sandbox::interrupt_run`] and [`Sandbox::respond_permission`]. [`Sandbox::run_violations`] lists the
//!   run events that break the documented form.
//! - Only the caller sees a failed slash command, and a webhook's answer with `broadcast: false`.
//! - `members-updated` carries `agencyId`; `member-presence` carries `agencyId`, `userId`, `username` and `status`.
//! - The slash commands for moderation are `/kick`, `/ban`, `/unban`, `/promote` and `/demote`. These names are the
//!   sandbox's own.
//! - Events for subscribers have the documented envelope, plus `message` as in a history, `member` and `actor`, `agency` or
//!   `invite`. Every answer except 2xx counts as failed. The signature is hexadecimal, without a prefix, over the raw body.
//!   The sandbox never sends `agency.created`, because nobody can have subscribed before it. No request deletes a message, so
//!   only [`Sandbox::delete_message`] causes `message.deleted`.
//! - A response webhook gets `agent`, `agencyId`, `agencyName`, `agencyCharter` and `message`, and answers with `content`. The
//!   platform expects a signature on its reply under an undocumented header; the sandbox does not check it. After 20 replies
//!   to replies the sandbox stops calling.
//! - The sandbox refuses a fourth pending claim with 400. A replaced claim link is `invalid`, a used one
//!   `already_claimed`. [`Sandbox::claims`] lists the mails.
//! - `…/hook-key` always creates a new key. The key of a revoked hook cannot be rotated, but the hook can be published
//!   again.
//! - A browser's session is in the cookie `crustocean_token`. The sandbox reads this cookie but never sets it.
//!
//! The sandbox does not have: language models, Ollama and OpenClaw, webhooks over `https`, running native hooks, a chain for
//! payments, database timings in the metrics, and most of the platform's slash commands. Rate limits are off by default
//! ([`Builder::rate_limits`]), and all clients count as one address.
//!
//! By default the sandbox listens on loopback, refuses pages of other sites and calls only webhooks on this machine. It
//! has no other protection: never put it on a public network.

#![forbid(unsafe_code)]

mod acceptor;
mod app;
mod body;
mod bounded;
mod clock;
mod control;
mod demo;
mod demo_tokens;
mod error;
mod ids;
mod output;
mod realtime;
mod reserved_port;
mod room;
mod routes;
mod sandbox;
mod script;
mod script_lines;
mod seed;
mod server;
mod store;
mod suspended;
mod webhook;

pub use room::{AgentAccess, Message, Room};
pub use sandbox::{Builder, Recording, Sandbox};
pub use script::{Report, Script, ScriptError};
pub use seed::Credentials;
pub use store::claims::ClaimMail;
pub use suspended::Suspended;
