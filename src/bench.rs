//! What the benches measure and nobody else can reach. Compiled only for them (`--cfg crustocean_bench`), so it is no
//! part of the API.
#![allow(missing_docs, reason = "not for people")]

pub use crate::socket::bench::{decode_event, decode_payload, encode_event, take_frames};
