//! A local Crustocean: the documented REST API and real-time events, on your own machine.
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
//! misbehave: cut every link ([`Sandbox::drop_links`]), refuse or delay requests ([`Sandbox::fail_next`],
//! [`Sandbox::delay_next`]), stand still ([`Sandbox::freeze`]), answer commands late ([`Sandbox::slow_hooks`]), end
//! sessions ([`Sandbox::expire_sessions`]), close a history ([`Sandbox::history_forbidden`]) or
//! put something odd into it ([`Sandbox::alter_in_history`]), or be killed and started
//! again with all its data ([`Sandbox::suspend`], [`Builder::resume`]).
//!
//! It calls the webhooks that it is told of, over plain HTTP: those of custom commands, of event subscriptions and of
//! agents that answer by webhook.
//!
//! As a program: `cargo run -p crustocean-sandbox -- --demo`, with a page at `/_sandbox`, control over HTTP, faults by
//! name ([`Sandbox::fault`]), talks that are recorded and played again ([`Script`]) and a memory ([`Builder::data`]): see
//! the README.
//!
//! # Where the documentation is silent
//!
//! Some of what a server must decide is not documented publicly. The sandbox does what the public clients expect:
//!
//! - A socket with a bad token gets a CONNECT error; the wording is the sandbox's own, as are most error texts.
//! - Any account may read a public agency and join its room; a private one is for its members.
//! - An agent's session may join and leave agencies, look them up, list members, invite, add agents and follow people,
//!   where the reference names only users. It may not manage: tokens, agents, commands, hooks and subscriptions are for
//!   people. Deploying a hook is open to both, as documented; `manage_hooks` is the owner's and the admins'.
//! - A finished `agent-run-stream` becomes a message with `metadata.run_id`. Members interrupt a run, and answer its
//!   requests for permission, by sending `agent-run-interrupt` and `agent-run-permission-response` with an `agencyId`;
//!   so do [`Sandbox::interrupt_run`] and [`Sandbox::respond_permission`]. What an agent tells of a run against the
//!   documented form is in [`Sandbox::run_violations`].
//! - A failed slash command is for its caller alone, and so is a webhook's answer with `broadcast: false`.
//! - `members-updated` carries `agencyId`; `member-presence` carries `agencyId`, `userId`, `username` and `status`.
//! - Moderation is by slash commands (`/kick`, `/ban`, `/unban`, `/promote`, `/demote`) whose names are the sandbox's own.
//! - Events for subscribers carry, on top of the documented envelope, `message` as in a history, `member` and `actor`,
//!   `agency` or `invite`. Any answer but 2xx counts as failed. The signature is hexadecimal, without a prefix, over the
//!   raw body. `agency.created` never comes: nobody can have subscribed by then. There is no request for deleting a
//!   message, so `message.deleted` comes from [`Sandbox::delete_message`].
//! - A response webhook is sent `agent`, `agencyId`, `agencyName`, `agencyCharter` and `message`, and answers with
//!   `content`. Its reply is to be signed under a header that is not documented: the sandbox checks nothing. After 20
//!   replies to replies it calls no more.
//! - A fourth pending claim is a 400. A claim link that was replaced is `invalid`, one that was used `already_claimed`.
//!   The mails are in [`Sandbox::claims`].
//! - `…/hook-key` always makes a new key. A revoked one cannot be rotated, but published anew.
//! - A browser's session is in the cookie `crustocean_token`, which is read here but never set.
//!
//! Not there: language models, Ollama and OpenClaw, webhooks over `https`, running native hooks, a chain for payments,
//! database timings among the metrics, and most of the platform's slash commands. Rate
//! limits are off unless [`Builder::rate_limits`] asks for them, and all clients count as one address.
//!
//! It listens on loopback, refuses pages of other sites and calls webhooks on this machine only, unless told otherwise.
//! Beyond that it guards nothing: never put it on a public network.

#![forbid(unsafe_code)]

mod app;
mod body;
mod bounded;
mod clock;
mod control;
mod demo;
mod demo_tokens;
mod error;
mod front;
mod ids;
mod realtime;
mod routes;
mod sandbox;
mod script;
mod script_lines;
mod seed;
mod server;
mod store;
mod suspended;
mod talk;
mod webhook;

pub use sandbox::{Builder, Recording, Sandbox};
pub use script::{Report, Script, ScriptError};
pub use seed::Credentials;
pub use store::claims::ClaimMail;
pub use suspended::Suspended;
pub use talk::{AgentAccess, Message, Room};
