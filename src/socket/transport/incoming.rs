//! What a transport hands out.

use tungstenite::{Bytes, Utf8Bytes};

/// One Engine.IO packet, or an attachment.
#[derive(Debug)]
pub(crate) enum Incoming {
    Text(Utf8Bytes),
    Binary(Bytes),
}
