//! The error for a broken connection to a proxy.

use std::io;

use crate::error::{Error, ErrorKind};
use crate::net::endpoint::Endpoint;

/// Returns the error for a connection to the proxy that failed in this step.
pub(super) fn broken(error: io::Error, step: &str, target: Endpoint<'_>) -> Error {
    let (kind, text) = match error.kind() {
        io::ErrorKind::TimedOut => (ErrorKind::Timeout, format!("{step} {target} did not end in time")),
        io::ErrorKind::UnexpectedEof => {
            (ErrorKind::Connect, format!("the proxy closed the connection during {step} {target}"))
        }
        _ => {
            (ErrorKind::Connect, format!("the connection to the proxy broke during {step} {target}: {error}"))
        }
    };
    Error::new(kind, text).with_source(error)
}
