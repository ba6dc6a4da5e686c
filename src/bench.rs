//! Private functions that the benchmarks measure. Compiled only with `--cfg crustocean_bench`, so this module is not
//! part of the API.
#![allow(missing_docs, reason = "not for people")]

pub use crate::socket::bench::{decode_event, decode_payload, encode_event, take_frames};
