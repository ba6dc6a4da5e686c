//! The agent in its rooms: one file per behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a failure here is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;

mod acks;
mod author;
mod backfill;
mod close;
mod close_rest;
mod commands;
mod connect;
mod connect_ahead;
mod edit;
mod error_events;
mod everyday;
mod follow;
mod gaps;
mod half_characters;
mod join;
mod leave;
mod lifecycle;
mod listening;
mod long;
mod loop_guard;
mod mentions;
mod no_limit;
#[cfg(not(feature = "polling"))]
mod no_polling;
mod odd_history;
mod odd_input;
mod outage;
mod parallel;
mod policy;
#[cfg(feature = "polling")]
mod polling;
mod pool;
mod post;
mod reconnect;
mod remember;
mod repost;
mod rich;
mod rooms;
mod round_trips;
mod run;
mod run_gate;
mod run_handles;
mod run_stream;
mod session_renewal;
mod slash_texts;
mod slow_handler;
mod slow_listener;
mod stop;
mod survives;
mod talk;
mod thinking;
mod wire;
