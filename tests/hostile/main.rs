//! Input from hostile or broken servers.
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
mod attachments;
mod connect_reply;
mod content;
mod frames;
mod handshake;
mod interim;
mod open_packet;
mod packets;
