//! Blocking Rust SDK for Crustocean.
